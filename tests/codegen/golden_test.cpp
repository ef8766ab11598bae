// Golden files: golden/<case>/ holds manifest.json, template.cu, device headers (*.cuh) and spec.json, and
// either expected.cu or expected_error.txt. `SPRUE_UPDATE_GOLDEN=1 test_codegen "golden*"` writes the
// expectations anew, for review.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "codegen/json.h"
#include "codegen/render.h"
#include "samples.h"
#include "support/catch.h"

namespace sprue::codegen {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw Error("cannot read " + path.string());
  return std::string(std::istreambuf_iterator<char>(in), {});
}

/// template.cu is <family>/<kernel>.cu to the renderer; a case named after a shipped kernel has none and uses
/// that kernel.
Source render_case(const fs::path& directory) {
  const Json json = parse_json("spec.json", read(directory / "spec.json"));
  json.with_keys({"kernel", "problem", "schedule", "architecture"});
  const std::string kernel = json.at("kernel").as_string();
  const bool shipped = !fs::exists(directory / "template.cu");
  std::map<std::string, std::string, std::less<>> files;
  if (!shipped) {
    files["golden/" + kernel + ".cu"] = read(directory / "template.cu");
    files["golden/" + kernel + ".json"] = read(directory / "manifest.json");
    for (const auto& entry : fs::directory_iterator(directory)) {
      if (entry.path().extension() == ".cuh")
        files["device/" + entry.path().filename().string()] = read(entry.path());
    }
  }
  const TemplateStore store = shipped ? TemplateStore::embedded() : TemplateStore(std::move(files));
  const Json* schedule = json.find("schedule");
  const Manifest found = manifest(store, kernel);
  return render(
      store, found,
      complete_spec(found, json.at("problem").as_values(), schedule ? schedule->as_values() : Values(),
                    architecture(json.at("architecture").as_string())));
}

}  // namespace

TEST_CASE("golden files") {
  int cases = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(SPRUE_SOURCE_DIR) / "tests/codegen/golden")) {
    ++cases;
    INFO(entry.path().filename().string());
    std::string text;
    const std::string error = error_of([&] { text = render_case(entry.path()).text; });
    const bool failed = error != "no error";
    const fs::path expected = entry.path() / (failed ? "expected_error.txt" : "expected.cu");
    const std::string actual = failed ? error + '\n' : text;
    if (std::getenv("SPRUE_UPDATE_GOLDEN") != nullptr) {
      fs::remove(entry.path() / "expected_error.txt");
      fs::remove(entry.path() / "expected.cu");
      std::ofstream(expected, std::ios::binary) << actual;
    }
    CHECK(fs::exists(expected));
    if (fs::exists(expected)) CHECK(actual == read(expected));
  }
  CHECK(cases >= 6);
}

}  // namespace sprue::codegen
