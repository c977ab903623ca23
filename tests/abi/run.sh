#!/usr/bin/env bash
# Runs the program $1 on the file $2.
exec "$1" "$(realpath "$2")"
