// Progress: a bar on standard error, redrawn in place on a terminal; elsewhere one line per finished item.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

namespace sprue::tools {

class Progress {
 public:
  Progress(std::string verb, std::size_t total);
  ~Progress();  ///< Wipes the bar.
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// One more item is done.
  void step(std::string_view item);
  /// A line that stays.
  void say(std::string_view line);

 private:
  void draw() const;
  void wipe() const;

  std::string verb_, item_;
  std::size_t done_ = 0, total_;
  bool terminal_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace sprue::tools
