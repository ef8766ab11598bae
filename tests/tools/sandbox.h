// Sandbox: a directory of its own, in which the built `sprue` runs with a cache and templates of its own.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace sprue::test {

struct Result {
  int code = 0;  ///< Exit code, or 128 + signal.
  std::string out, err;

  nlohmann::ordered_json json() const { return nlohmann::ordered_json::parse(out); }
};

class Sandbox {
 public:
  /// `templates` has the kernels toy, slow and broken.
  Sandbox();
  ~Sandbox();
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::string file(const std::string& name) const { return (path_ / name).string(); }
  void write(const std::string& name, const std::string& text) const;
  std::string read(const std::string& name) const;

  /// A variable for the processes started from now on; empty: none.
  void set(const std::string& name, const std::string& value);

  /// Runs `sprue` to its end.
  Result run(const std::vector<std::string>& arguments);
  /// Starts it; its output goes to out.txt and err.txt.
  pid_t start(const std::vector<std::string>& arguments);
  Result finish(pid_t process) const;

 private:
  std::filesystem::path path_;
  std::vector<std::string> environment_;
};

std::vector<pid_t> children_of(pid_t process);
/// Whether `condition` comes true within ten seconds.
bool eventually(const std::function<bool()>& condition);

}  // namespace sprue::test
