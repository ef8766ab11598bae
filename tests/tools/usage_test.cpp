// Help, usage errors and exit codes: what every command shares.
#include "support/catch.h"
#include "tools/sandbox.h"

namespace sprue::test {

TEST_CASE("every command explains itself with examples") {
  Sandbox box;
  const std::vector<std::vector<std::string>> commands = {
      {"list"},
      {"emit"},
      {"prewarm"},
      {"record"},
      {"cache"},
      {"cache", "path"},
      {"cache", "ls"},
      {"cache", "show"},
      {"cache", "gc"},
      {"cache", "verify"},
      {"cache", "clear"},
      {"cache", "export"},
      {"cache", "import"},
      {"explain"},
      {"doctor"},
      {"run"},
      {"bench"},
      {"tune"},
  };
  for (std::vector<std::string> command : commands) {
    INFO(command.front() << ' ' << command.back());
    command.push_back("--help");
    const Result help = box.run(command);
    CHECK(help.code == 0);
    CHECK(help.err == "");
    CHECK_THAT(help.out, Contains("Usage: sprue " + command.front()));
    CHECK_THAT(help.out, Contains("Examples:\n  "));
  }
}

TEST_CASE("the help tells the exit codes, and hides the workers") {
  Sandbox box;
  const Result help = box.run({"--help"});
  CHECK(help.code == 0);
  CHECK_THAT(help.out, Contains("Exit codes:"));
  CHECK_THAT(help.out, !Contains("worker"));
  CHECK_THAT(box.run({"--version"}).out, StartsWith("sprue 0."));
}

TEST_CASE("a wrong command line is exit code 2 and says what is right") {
  Sandbox box;
  const auto error = [&](const std::vector<std::string>& arguments) {
    const Result result = box.run(arguments);
    CHECK(result.code == 2);
    CHECK(result.out == "");
    return result.err;
  };
  CHECK_THAT(error({"prewram"}), StartsWith("sprue: error: there is no command 'prewram' of sprue"));
  CHECK_THAT(error({"prewram"}), Contains("did you mean prewarm?"));
  CHECK_THAT(error({"cache", "lst"}), Contains("there is no command 'lst' of sprue cache"));
  CHECK_THAT(error({}), Contains("See `sprue --help`."));
  CHECK_THAT(error({"emit"}), Contains("KERNEL is required\nSee `sprue emit --help`."));
  CHECK_THAT(error({"emit", "toy", "--nope"}), Contains("--nope"));
  CHECK_THAT(error({"prewarm", "default", "-j", "0"}), Contains("--jobs"));
}

TEST_CASE("a wrong environment variable is exit code 2") {
  Sandbox box;
  box.set("SPRUE_CACHE_LIMIT", "much");
  CHECK(box.run({"cache", "ls"}).code == 2);
  box.set("SPRUE_CACHE_LIMIT", "");
  box.set("SPRUE_LOG", "loud");
  const Result result = box.run({"list"});
  CHECK(result.code == 2);
  CHECK(result.err == "sprue: error: SPRUE_LOG must be debug, info, warning or off, but is 'loud'\n");
}

TEST_CASE("output that cannot be written is an error") {
  Sandbox box;
  const std::string command = SPRUE_TOOL " list > /dev/full 2> " + box.file("err.txt");
  CHECK(std::system(command.c_str()) != 0);
  CHECK_THAT(box.read("err.txt"), Contains("cannot write to standard output"));
}

TEST_CASE("a reader that goes away is no error") {
  Sandbox box;
  const std::string command = "trap '' PIPE; (" SPRUE_TOOL " list --json; echo $? > " + box.file("code.txt") +
                              ") 2> " + box.file("err.txt") + " | true";
  CHECK(std::system(command.c_str()) == 0);
  CHECK(box.read("code.txt") == "0\n");
  CHECK(box.read("err.txt") == "");
}

}  // namespace sprue::test
