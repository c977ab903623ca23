/* A library that a plugin needs and that is not there when it is loaded. */
int Absent(void) { return 0; }
