// The checks of `sprue doctor` on the kernel cache: its directory, its file system, its read-only tiers.
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cache/store.h"
#include "commands/doctor_checks.h"
#include "output.h"
#include "runtime/options.h"
#include "sprue/error.h"

namespace sprue::tools {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kLittleSpace = std::uint64_t{256} << 20;

/// The name of a network file system; nothing for a local one.
const char* network_file_system(long type) {
  switch (static_cast<unsigned long>(type) & 0xffffffff) {
    case 0x6969:
      return "NFS";
    case 0xff534d42:
    case 0xfe534d42:
      return "SMB";
    case 0x0bd00bd0:
      return "Lustre";
    case 0x47504653:
      return "GPFS";
    case 0x00c36400:
      return "Ceph";
    default:
      return nullptr;
  }
}

void check_file_system(Findings& findings, const fs::path& existing) {
  struct statfs info {};
  if (statfs(existing.c_str(), &info) != 0) return;
  const std::uint64_t space =
      static_cast<std::uint64_t>(info.f_bavail) * static_cast<std::uint64_t>(info.f_bsize);
  findings.push_back({space < kLittleSpace ? Finding::warning : Finding::ok, "cache",
                      size_text(space) + " are free there",
                      space < kLittleSpace ? "make room, or choose another place by SPRUE_CACHE_DIR" : ""});
  if (const char* network = network_file_system(info.f_type)) {
    findings.push_back(
        {Finding::warning, "cache", fmt::format("it is on a network file system, {}", network),
         "it works, but a local directory starts faster: set SPRUE_CACHE_DIR, and share kernels as a pack"});
  }
}

void check_missing_directory(Findings& findings, const fs::path& directory) {
  fs::path existing = directory;
  while (!existing.empty() && !fs::exists(existing)) existing = existing.parent_path();
  if (access(existing.c_str(), W_OK | X_OK) == 0) {
    findings.push_back({Finding::ok, "cache", directory.string() + ", which the first kernel will make"});
  } else {
    findings.push_back(
        {Finding::warning, "cache",
         fmt::format("{} cannot be made, because {} is not writable: every process compiles anew",
                     directory.string(), existing.string()),
         "choose another place by SPRUE_CACHE_DIR"});
  }
  check_file_system(findings, existing);
}

void check_directory(Findings& findings, const fs::path& directory, const RuntimeOptions& options) {
  struct stat info {};
  stat(directory.c_str(), &info);
  findings.push_back(
      {Finding::ok, "cache",
       fmt::format("{}, owner {}, mode {:04o}", directory.string(), info.st_uid, info.st_mode & 07777)});
  const auto warn = [&](LogLevel level, std::string_view message) {
    if (level == LogLevel::warning)
      findings.push_back({Finding::warning, "cache", std::string(message), "see above"});
  };
  cache::Store({.directory = directory, .read_only = {}, .limit_bytes = 0, .log = warn});

  std::uint64_t bytes = 0, damaged = 0;
  const auto entries = cache::list(directory);
  for (const cache::Listed& listed : entries) {
    bytes += listed.bytes;
    damaged += !listed.intact;
  }
  const std::string limit =
      options.cache_limit_bytes == 0 ? "unlimited" : size_text(options.cache_limit_bytes);
  findings.push_back(
      {Finding::ok, "cache", fmt::format("{} kernels, {} of {}", entries.size(), size_text(bytes), limit)});
  if (damaged > 0) {
    findings.push_back({Finding::warning, "cache",
                        fmt::format("{} kernels are damaged and will be compiled again", damaged),
                        "`sprue cache verify` names them"});
  }
  check_file_system(findings, directory);
}

void check_read_only(Findings& findings, const fs::path& tier) {
  try {
    findings.push_back({Finding::ok, "cache",
                        fmt::format("read-only: {}, {} kernels", tier.string(), cache::list(tier).size())});
  } catch (const CacheError& error) {
    findings.push_back({Finding::warning, "cache", error.what(), "correct SPRUE_CACHE_READONLY"});
  }
}

}  // namespace

void check_cache(Findings& findings, const RuntimeOptions& options) {
  if (!options.disk_cache) {
    findings.push_back(
        {Finding::warning, "cache", "turned off: every process compiles anew", "unset SPRUE_CACHE"});
    return;
  }
  const fs::path directory =
      options.cache_directory.empty() ? default_cache_directory() : options.cache_directory;
  try {
    if (directory.empty()) {
      findings.push_back({Finding::warning, "cache", "there is no directory: every process compiles anew",
                          "set SPRUE_CACHE_DIR, XDG_CACHE_HOME or HOME"});
    } else if (fs::exists(directory)) {
      check_directory(findings, directory, options);
    } else {
      check_missing_directory(findings, directory);
    }
  } catch (const CacheError& error) {
    findings.push_back(
        {Finding::problem, "cache", error.what(), "choose another place by SPRUE_CACHE_DIR", kCache});
  }
  for (const fs::path& tier : options.read_only_caches) check_read_only(findings, tier);
}

}  // namespace sprue::tools
