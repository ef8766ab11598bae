// The example of kernel_templates/README.md is a kernel.
#include <filesystem>
#include <fstream>
#include <iterator>

#include "codegen/render.h"
#include "sprue/error.h"
#include "support/catch.h"

namespace sprue::codegen {
namespace {

/// The first block of the document that is marked as `language`.
std::string block(const std::string& document, const std::string& language) {
  const std::string open = "\n```" + language + "\n";
  const std::size_t start = document.find(open);
  REQUIRE(start != std::string::npos);
  const std::size_t end = document.find("```\n", start + open.size());
  REQUIRE(end != std::string::npos);
  return document.substr(start + open.size(), end - start - open.size());
}

}  // namespace

TEST_CASE("the example of the templates' README renders") {
  std::ifstream in(std::filesystem::path(SPRUE_SOURCE_DIR) / "kernel_templates/README.md");
  const std::string document(std::istreambuf_iterator<char>(in), {});
  const TemplateStore store({{"sample/scale.cu", block(document, "cuda")},
                             {"sample/scale.json", block(document, "json")},
                             {"device/types.cuh", *TemplateStore::embedded().find("device/types.cuh")}});
  const Manifest scale = manifest(store, "scale");
  const auto rendered = [&](std::int64_t hidden, const char* arch) {
    return render(store, scale,
                  complete_spec(scale, {{"SCALAR", "bf16"}, {"HIDDEN", hidden}}, {}, architecture(arch)));
  };
  CHECK(rendered(512, "sm_90").launch.threads == 256);
  CHECK(rendered(512, "sm_80").launch.threads == 32);
  CHECK_THAT(rendered(96, "sm_80").text, Contains("constexpr int kHidden = 96;"));
}

}  // namespace sprue::codegen
