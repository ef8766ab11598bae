// What errors say and carry.
#include "sprue/error.h"

#include "support/catch.h"

using namespace sprue;

TEST_CASE("a template error says where") {
  CHECK_THROWS_WITH((throw TemplateError("norm/a.cu", 3, 7, "unknown name X")),
                    "norm/a.cu:3:7: unknown name X");
  CHECK_THROWS_WITH((throw TemplateError("norm/a.cu", 3, 0, "unbalanced")), "norm/a.cu:3: unbalanced");
  CHECK_THROWS_WITH((throw TemplateError("norm/a.cu", 0, 0, "missing")), "norm/a.cu: missing");
}

TEST_CASE("every error is an Error and keeps what is needed to act on it") {
  try {
    throw CompileError("refused", "log", "source", "options", "nvcc k.cu");
  } catch (const Error& error) {
    const auto& compile = dynamic_cast<const CompileError&>(error);
    CHECK(compile.log == "log");
    CHECK(compile.source == "source");
    CHECK(compile.options == "options");
    CHECK(compile.reproduce == "nvcc k.cu");
  }
  CHECK(CudaError("cuInit failed", 100).code == 100);
  CHECK_THROWS_AS(throw CaptureError("x"), Error);
  CHECK_THROWS_AS(throw NotPrewarmedError("x"), Error);
}
