/* The version of Sprue, for C and C++. */
#ifndef SPRUE_VERSION_H
#define SPRUE_VERSION_H

#define SPRUE_VERSION_MAJOR 0
#define SPRUE_VERSION_MINOR 1
#define SPRUE_VERSION_PATCH 0
#define SPRUE_VERSION "0.1.0"

#endif
