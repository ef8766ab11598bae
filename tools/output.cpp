#include "output.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <system_error>

#include "sprue/error.h"

namespace sprue::tools {
namespace {

int write_error = 0;  // the first of standard output

}  // namespace

void put(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() && write_error == 0)
    write_error = errno;
}

void put_json(const nlohmann::ordered_json& json) {
  put(json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + '\n');
}

void remark(std::string_view text) {
  const std::string line =
      std::string(text) + '\n';  // one write, so that lines of several processes stay whole
  std::fwrite(line.data(), 1, line.size(), stderr);
}

void finish_output() {
  if (std::fflush(stdout) != 0 && write_error == 0) write_error = errno;
  if (write_error == 0 && std::ferror(stdout) != 0) write_error = EIO;
  if (write_error == 0 || write_error == EPIPE) return;
  throw std::system_error(write_error, std::generic_category(), "cannot write to standard output");
}

void write_file(const std::filesystem::path& file, std::string_view bytes) {
  if (file == "-") return put(bytes);
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) throw ArgumentError(fmt::format("{} cannot be written: {}", file.string(), std::strerror(errno)));
}

std::string read_file(const std::filesystem::path& file) {
  std::error_code error;
  if (std::filesystem::is_directory(file, error)) {
    throw ArgumentError(fmt::format("{} is a directory, but a file is expected", file.string()));
  }
  std::ifstream in(file, std::ios::binary);
  if (!in) throw ArgumentError(fmt::format("{} cannot be read: {}", file.string(), std::strerror(errno)));
  std::ostringstream text;
  text << in.rdbuf();
  return std::move(text).str();
}

bool is_terminal(int descriptor) {
  return isatty(descriptor) == 1;
}

int text_width(int descriptor) {
  winsize size{};
  const bool known = ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? std::clamp<int>(size.ws_col, 60, 160) : 100;
}

std::string size_text(std::uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double size = static_cast<double>(bytes);
  const char* unit = "";
  for (const char* next : {"KiB", "MiB", "GiB", "TiB"}) {
    if (size < 1024) break;
    size /= 1024;
    unit = next;
  }
  return fmt::format("{:.{}f} {}", size, size < 10 ? 1 : 0, unit);
}

std::string time_text(std::chrono::system_clock::time_point time) {
  return fmt::format("{:%Y-%m-%d %H:%M}", fmt::localtime(std::chrono::system_clock::to_time_t(time)));
}

}  // namespace sprue::tools
