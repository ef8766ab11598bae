// The build id of a library: read from its notes, or made from its content.
#include "compiler/build_id.h"

#include "compiler/fake_library.h"
#include "support/catch.h"

using sprue::compiler::read_build_id;

TEST_CASE("the GNU build id is found behind other notes") {
  const TemporaryDirectory directory;
  write_file(directory / "lib.so", fake_library("\x01\x23\xab\xcd\xef"));
  CHECK(read_build_id(directory / "lib.so").hex == "0123abcdef");
  CHECK(read_build_id(directory / "lib.so").problem.empty());
}

TEST_CASE("a library without a build id is identified by its content") {
  const TemporaryDirectory directory;
  const std::string bytes = fake_library("");
  write_file(directory / "a.so", bytes);
  write_file(directory / "b.so", bytes);
  write_file(directory / "c.so", bytes + 'x');
  const std::string id = read_build_id(directory / "a.so").hex;
  CHECK(id.size() == 64);
  CHECK(read_build_id(directory / "b.so").hex == id);
  CHECK(read_build_id(directory / "c.so").hex != id);
}

TEST_CASE("a change at the end of a large library without a build id changes its identity") {
  const TemporaryDirectory directory;
  std::string bytes = fake_library("") + std::string(3 << 20, '\0');
  write_file(directory / "a.so", bytes);
  bytes.back() = 'x';
  write_file(directory / "b.so", bytes);
  CHECK(read_build_id(directory / "a.so").hex != read_build_id(directory / "b.so").hex);
}

TEST_CASE("a build id that is too short or too long for a key is replaced by a digest") {
  const TemporaryDirectory directory;
  write_file(directory / "short.so", fake_library("abc"));
  write_file(directory / "long.so", fake_library(std::string(33, 'x')));
  CHECK(read_build_id(directory / "short.so").hex.size() == 64);
  CHECK(read_build_id(directory / "long.so").hex.size() == 64);
}

TEST_CASE("files that are no usable library are refused with the reason") {
  const TemporaryDirectory directory;
  const auto problem = [&](const std::string& content) {
    write_file(directory / "lib.so", content);
    const auto id = read_build_id(directory / "lib.so");
    CHECK(id.hex.empty());
    return id.problem;
  };
  CHECK(problem("") == "not an ELF file");
  CHECK(problem("INPUT(libnvrtc.so.13) and some more text, longer than an ELF header is, to be sure") ==
        "not an ELF file");
  CHECK(problem(fake_library("12345678", kOtherMachine)) == "built for another machine");
  std::string program = fake_library("12345678");
  program[16] = ET_EXEC;
  CHECK(problem(program) == "not a shared library");
  CHECK(read_build_id(directory / "absent.so").problem == "not a readable file");
  CHECK(read_build_id(directory / ".").problem == "not a readable file");
}

TEST_CASE("no truncation and no flipped byte of a library makes reading it fail in another way") {
  const TemporaryDirectory directory;
  const std::string whole = fake_library("12345678");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write_file(directory / "lib.so", whole.substr(0, size));
    const auto id = read_build_id(directory / "lib.so");
    CHECK(id.hex.empty());
    CHECK_FALSE(id.problem.empty());
  }
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(~damaged[at]);
    write_file(directory / "lib.so", damaged);
    const auto id = read_build_id(directory / "lib.so");
    CHECK(id.hex.empty() != id.problem.empty());
  }
}
