#include "modelbatch/cli/command_line.h"

int main(int argc, char** argv) {
  return modelbatch::RunCommandLine(argc, argv);
}
