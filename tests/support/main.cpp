// The main program of every test executable. Exits with 4 when every test case was skipped, as Catch2 3 does
// by itself, and with 1 when an assertion failed: Catch2 2 gives their number, which may be 4.
#ifdef SPRUE_CATCH_V3
#include <catch2/catch_session.hpp>

int main(int argc, char** argv) {
  return Catch::Session().run(argc, argv);
}
#else
#define CATCH_CONFIG_RUNNER
#include "support/catch.h"

namespace {

std::size_t tests_run = 0;
std::size_t tests_skipped = 0;

struct Counter : Catch::TestEventListenerBase {
  using TestEventListenerBase::TestEventListenerBase;
  void testCaseEnded(const Catch::TestCaseStats&) override { ++tests_run; }
};
CATCH_REGISTER_LISTENER(Counter)

}  // namespace

void count_skipped_test() {
  ++tests_skipped;
}

int main(int argc, char** argv) {
  Catch::Session session;
  if (const int wrong = session.applyCommandLine(argc, argv)) return wrong;
  const int failures = session.run();
  const bool lists =
      session.configData().listTests || session.configData().listTags || session.configData().showHelp;
  if (lists) return failures;
  if (failures != 0) return 1;
  if (tests_run == 0) return 2;
  return tests_skipped == tests_run ? 4 : 0;
}
#endif
