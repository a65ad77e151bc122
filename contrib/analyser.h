/*
 * analyser.h - what contrib/lint tells clang-tidy and the compiler knows by
 * itself only within one file: that these always return -1.
 */
#include "base/error.h"

#define error_set(...) ((error_set)(__VA_ARGS__), -1)
#define error_sys(...) ((error_sys)(__VA_ARGS__), -1)
#define error_add(...) ((error_add)(__VA_ARGS__), -1)
