// Catch2 2.13 and 3.4 under one face: Contains, StartsWith, EndsWith, Approx, SKIP_TEST.
#pragma once

#include <string>

#ifdef SPRUE_CATCH_V3
#include <catch2/catch_approx.hpp>
#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>
#include <catch2/matchers/catch_matchers_all.hpp>

using Catch::Approx;
#else
#include <catch2/catch.hpp>
#endif

/// String matchers, for CHECK_THAT and CHECK_THROWS_WITH.
inline auto Contains(const std::string& part) {
#ifdef SPRUE_CATCH_V3
  return Catch::Matchers::ContainsSubstring(part);
#else
  return Catch::Matchers::Contains(part);
#endif
}
inline auto StartsWith(const std::string& part) {
  return Catch::Matchers::StartsWith(part);
}
inline auto EndsWith(const std::string& part) {
  return Catch::Matchers::EndsWith(part);
}

/// Ends the test case as skipped. An executable whose test cases were all skipped exits with 4: skipped, to
/// ctest.
#ifdef SPRUE_CATCH_V3
#define SKIP_TEST(reason) SKIP(reason)
#else
void count_skipped_test();
#define SKIP_TEST(reason)        \
  do {                           \
    WARN("SKIPPED: " << reason); \
    count_skipped_test();        \
    return;                      \
  } while (false)
#endif
