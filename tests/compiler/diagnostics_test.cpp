// Reading NVRTC's log.
#include "compiler/diagnostics.h"

#include "compiler/compiler.h"
#include "support/catch.h"

using namespace sprue::compiler;

namespace {

constexpr std::string_view kLog =
    R"(ptxas info    : (C7510) Potential Performance Loss: wgmma.mma_async instructions are serialized due to insufficient register resources for the wgmma pipeline in the function 'k'
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'other' for 'sm_90a'
ptxas info    : Function properties for other
ptxas         .     8 bytes stack frame, 8 bytes spill stores, 8 bytes spill loads
ptxas info    : Used 99 registers, used 1 barriers, 64 bytes smem
ptxas info    : Compiling entry function 'k' for 'sm_90a'
ptxas info    : Function properties for k
ptxas         .     1456 bytes stack frame, 1924 bytes spill stores, 2100 bytes spill loads
ptxas info    : Used 32 registers, used 1 barriers, 1456 bytes cumulative stack size, 1024 bytes smem, 400 bytes cmem[0]
ptxas info    : Compile time = 63.739 ms
ptxas info    : Function properties for _Z1gPfi
ptxas         .     16 bytes stack frame, 4 bytes spill stores, 2 bytes spill loads
)";

}  // namespace

TEST_CASE("resources are those of the entry and of the functions that it calls") {
  const sprue::Resources resources = parse_resources(kLog, "k");
  CHECK(resources.registers == 32);
  CHECK(resources.spill_bytes == 1924 + 2100 + 4 + 2);
  CHECK(resources.stack_bytes == 1456);
  CHECK(resources.static_shared_bytes == 1024);
  REQUIRE(resources.advisories.size() == 1);
  CHECK_THAT(resources.advisories[0], StartsWith("ptxas info    : (C7510)") && EndsWith("'k'"));
}

TEST_CASE("resources of an entry that the log does not name are zero") {
  CHECK(parse_resources(kLog, "kk").registers == 0);
  CHECK(parse_resources("", "k").registers == 0);
}

TEST_CASE("nvcc's layout of the same lines is understood") {
  const sprue::Resources resources =
      parse_resources(R"(ptxas info    : Compiling entry function 'k' for 'sm_80'
ptxas info    : Function properties for k
    8 bytes stack frame, 12 bytes spill stores, 16 bytes spill loads
ptxas info    : Used 40 registers, 352 bytes cmem[0])",
                      "k");
  CHECK(resources.registers == 40);
  CHECK(resources.spill_bytes == 28);
  CHECK(resources.stack_bytes == 8);
  CHECK(resources.static_shared_bytes == 0);
}

TEST_CASE("the excerpt numbers the lines around the first error") {
  const std::string source = "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten\neleven\ntwelve\n";
  CHECK(numbered_excerpt(source,
                         "k.cu(3): warning #177-D: unused\nk.cu(6): error: identifier \"x\" is "
                         "undefined\nk.cu(1): error: y") ==
        "      2 | two\n      3 | three\n      4 | four\n      5 | five\n>     6 | six\n"
        "      7 | seven\n      8 | eight\n      9 | nine\n     10 | ten\n");
  CHECK(numbered_excerpt("a\nb", "k.cu(2): catastrophic error: cannot open source file \"x.h\"") ==
        "      1 | a\n>     2 | b\n");
}

TEST_CASE("there is no excerpt when the log names no place in the source") {
  CHECK(numbered_excerpt("a\nb", "").empty());
  CHECK(numbered_excerpt("a\nb", "ptxas application ptx input, line 2; error   : Unknown modifier '.op'")
            .empty());
  CHECK(numbered_excerpt("a\nb", "k.cu(99999999999): error: x").empty());
  CHECK(numbered_excerpt("a\nb", "k.cu(99): error: x").empty());
}

TEST_CASE("the first error is told from warnings and notes") {
  CHECK(first_error(
            "k.cu(1): warning #1-D: \"error\" is odd\n  x\nk.cu(2): error: bad\nk.cu(3): error: worse") ==
        "k.cu(2): error: bad");
  CHECK(first_error("ptxas info    : 0 bytes\nptxas application ptx input, line 26; error   : bad") ==
        "ptxas application ptx input, line 26; error   : bad");
  CHECK(first_error("nvrtc: error: invalid value for --gpu-architecture (-arch)\n") ==
        "nvrtc: error: invalid value for --gpu-architecture (-arch)");
  CHECK(first_error("something else\nand more") == "something else");
  CHECK(first_error("").empty());
}
