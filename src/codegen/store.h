// TemplateStore: the texts that kernels are made of, embedded in the library or read from a directory that
// overrides them.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sprue::codegen {

/// File path relative to kernel_templates/ ("attention/attention_portable.cu") → content. Immutable after
/// construction.
class TemplateStore {
 public:
  /// The texts built into the library.
  static TemplateStore embedded();
  /// The embedded texts, each replaced by the file of the same path below `directory` where there is one; new
  /// files are added.
  static TemplateStore with_overrides(const std::filesystem::path& directory);
  /// Exactly these files; for tests.
  explicit TemplateStore(std::map<std::string, std::string, std::less<>> files);

  /// The content, or nullptr.
  const std::string* find(std::string_view path) const;
  /// Every path, sorted.
  std::vector<std::string> paths() const;

 private:
  std::map<std::string, std::string, std::less<>> files_;
};

}  // namespace sprue::codegen
