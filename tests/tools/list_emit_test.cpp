// sprue list and sprue emit.
#include "support/catch.h"
#include "support/nvrtc.h"
#include "tools/sandbox.h"

namespace sprue::test {

TEST_CASE("list names every kernel") {
  Sandbox box;
  const Result result = box.run({"list"});
  CHECK(result.code == 0);
  for (const char* kernel : {"attention_portable", "rms_norm", "toy"})
    CHECK_THAT(result.out, Contains(kernel));

  const auto json = box.run({"list", "--json"}).json();
  CHECK(json.size() >= 5);
  for (const auto& kernel : json) {
    CHECK(kernel.contains("operator"));
    CHECK(!kernel["architectures"].empty());
    CHECK(!kernel["defaults"].empty());
  }
}

TEST_CASE("list shows the parameters, defaults and rules of one kernel") {
  Sandbox box;
  const Result result = box.run({"list", "toy"});
  CHECK(result.code == 0);
  CHECK_THAT(result.out, Contains("toy (toy): Adds a number.\nBuilt for sm_80, sm_90.\n"));
  CHECK_THAT(result.out, Contains("ADD   -        an integer from 0 to 1000  What is added.\n"));
  CHECK_THAT(result.out, Contains("  1  ADD > 100\n     THREADS=128\n     measured: nowhere\n"));
  CHECK_THAT(result.out, Contains("nothing takes so many to add"));
  const auto json = box.run({"list", "toy", "--json"}).json();
  REQUIRE(json.size() == 1);
  CHECK(json[0]["problem"][0]["max"] == 1000);
  CHECK(json[0]["schedule"][0]["values"] == nlohmann::ordered_json({32, 64, 128}));
}

TEST_CASE("list of an unknown kernel names the known ones") {
  Sandbox box;
  const Result result = box.run({"list", "tyo"});
  CHECK(result.code == 2);
  CHECK_THAT(result.err, Contains("there is no kernel 'tyo'"));
  CHECK_THAT(result.err, Contains("rms_norm"));
}

TEST_CASE("emit prints the source that the spec asks for") {
  Sandbox box;
  const Result result = box.run({"emit", "toy", "ADD=7", "THREADS=32", "--arch", "sm_80"});
  CHECK(result.code == 0);
  CHECK(result.err == "");
  CHECK_THAT(result.out, StartsWith("// Rendered by Sprue: toy ADD=7 | THREADS=32\n"));
  CHECK_THAT(result.out, Contains("constexpr int kAdd = 7;"));
  CHECK_THAT(result.out, Contains("namespace device"));  // the header is inlined

  CHECK(box.run({"emit", "toy", "ADD=7", "THREADS=32", "--arch", "sm_80", "-o", box.file("toy.cu")}).out ==
        "");
  CHECK(box.read("toy.cu") == result.out);
}

TEST_CASE("emit needs an architecture where there is no GPU, and a legal spec") {
  Sandbox box;
  box.set("CUDA_VISIBLE_DEVICES", "-1");
  CHECK_THAT(box.run({"emit", "toy", "ADD=7"}).err, Contains("--arch sm_90"));
  const auto error = [&](const std::vector<std::string>& arguments) {
    const Result result = box.run(arguments);
    CHECK(result.code == 2);
    return result.err;
  };
  CHECK_THAT(error({"emit", "toy", "--arch", "sm_80"}), Contains("lacks ADD"));
  CHECK_THAT(error({"emit", "toy", "ADD=0", "THREADS=128", "--arch", "sm_80"}),
             Contains("nothing takes so many to add"));
  CHECK_THAT(error({"emit", "toy", "ADD=1", "--arch", "80"}), Contains("must look like sm_80"));
  CHECK_THAT(error({"emit", "toy", "ADD=1", "--arch", "sm_120"}), Contains("sm_120"));
  CHECK_THAT(error({"emit", "toy", "ADD=1", "--arch", "sm_80", "-o", box.file("no/such/toy.cu")}),
             Contains("cannot be written"));
}

TEST_CASE("a wrong template is exit code 3") {
  Sandbox box;
  box.write("templates/toy/toy.cu", box.read("templates/toy/toy.cu") + "//% if\n");
  const Result result = box.run({"emit", "toy", "ADD=1", "--arch", "sm_80"});
  CHECK(result.code == 3);
  CHECK_THAT(result.err, StartsWith("sprue: error: toy/toy.cu:"));
}

TEST_CASE("emit saves the cubin and shows the compiler's log") {
  SKIP_WITHOUT_NVRTC();
  Sandbox box;
  const Result result = box.run({"emit", "toy", "ADD=1", "--arch", "sm_80", "-o", box.file("toy.cu"),
                                 "--cubin", box.file("toy.cubin"), "--log"});
  CHECK(result.code == 0);
  CHECK_THAT(result.err, Contains("ptxas info"));
  CHECK_THAT(result.err, Contains("toy sm_80: "));
  CHECK_THAT(box.read("toy.cubin"), StartsWith("\x7f"
                                               "ELF"));
}

TEST_CASE("a kernel that does not compile is exit code 4, with its source") {
  SKIP_WITHOUT_NVRTC();
  Sandbox box;
  const Result result =
      box.run({"emit", "broken", "ADD=1", "--arch", "sm_80", "-o", "/dev/null", "--cubin", box.file("x")});
  CHECK(result.code == 4);
  CHECK_THAT(result.err, Contains("identifier \"undeclared\" is undefined"));
  CHECK_THAT(result.err, Contains("nvcc -cubin"));
}

TEST_CASE("a compiler that is not there is exit code 4") {
  Sandbox box;
  box.set("SPRUE_NVRTC", box.file("nothing.so"));
  const Result result =
      box.run({"emit", "toy", "ADD=1", "--arch", "sm_80", "-o", "/dev/null", "--cubin", box.file("x")});
  CHECK(result.code == 4);
  CHECK_THAT(result.err, Contains("nothing.so"));
}

}  // namespace sprue::test
