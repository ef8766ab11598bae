#include "progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "output.h"

namespace sprue::tools {
namespace {

constexpr std::size_t kBar = 24;

}  // namespace

Progress::Progress(std::string verb, std::size_t total)
    : verb_(std::move(verb)), total_(std::max<std::size_t>(total, 1)), terminal_(is_terminal(STDERR_FILENO)) {
  draw();
}

Progress::~Progress() {
  wipe();
}

void Progress::step(std::string_view item) {
  ++done_;
  item_ = item;
  if (!terminal_) remark(fmt::format("[{}/{}] {}", done_, total_, item));
  draw();
}

void Progress::say(std::string_view line) {
  wipe();
  remark(line);
  draw();
}

void Progress::draw() const {
  if (!terminal_) return;
  const std::size_t filled = kBar * std::min(done_, total_) / total_;
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - start_).count();
  std::string line = fmt::format("{} [{:#<{}}{:.<{}}] {}/{} {}:{:02} {}", verb_, "", filled, "",
                                 kBar - filled, done_, total_, seconds / 60, seconds % 60, item_);
  line.resize(std::min<std::size_t>(line.size(), static_cast<std::size_t>(text_width(STDERR_FILENO)) - 1));
  fmt::print(stderr, "\r{}\x1b[K", line);
  std::fflush(stderr);
}

void Progress::wipe() const {
  if (terminal_) fmt::print(stderr, "\r\x1b[K");
}

}  // namespace sprue::tools
