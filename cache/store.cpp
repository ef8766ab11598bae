// The store composes its tiers; directory.h documents the layout of a directory, pack.cpp that of a pack.
//
// Nothing here waits for another process without a limit, and no step trusts another one to have finished: a
// reader verifies what it reads, a writer publishes by rename, and whoever finds neither entry nor lock
// builds.
#include "cache/store.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>
#include <variant>

#include "cache/directory.h"
#include "cache/pack.h"
#include "cache/sweep.h"
#include "sprue/error.h"

namespace sprue::cache {
namespace {

using ReadOnlyTier = std::variant<Directory, Pack>;

ReadOnlyTier open_tier(const std::filesystem::path& path) {
  if (std::filesystem::is_regular_file(path)) return Pack(path);
  return Directory::open(path);
}

}  // namespace

struct Store::State {
  explicit State(StoreOptions given);

  std::optional<Found> find_own(const Key& key) const;
  std::optional<Found> find(const Key& key) const;
  std::optional<Found> find_any_toolchain(const Digest& request) const;
  FoundOrLock find_or_lock(const Key& key) const;
  bool insert(Entry entry);
  void make_room(std::uint64_t inserted_bytes);

  void warn(const std::string& message) const {
    if (options.log) options.log(LogLevel::warning, "[cache] " + message);
  }
  /// Whatever a step throws is a warning, and nothing its answer.
  template <class Step>
  auto guarded(Step step) const -> decltype(step()) {
    try {
      return step();
    } catch (const std::exception& error) {
      warn(error.what());
      return {};
    }
  }

  StoreOptions options;
  std::optional<Directory> own;
  std::vector<ReadOnlyTier> read_only;
  std::atomic<std::int64_t> bytes_until_sweep{
      0};               // the first insert sweeps, and so learns the directory's size
  std::mutex sweeping;  // only ever tried: who does not get it leaves the work to who has it
};

Store::State::State(StoreOptions given) : options(std::move(given)) {
  if (!options.directory.empty()) {
    std::string problem;
    own = Directory::open_private(options.directory, problem);
    if (!problem.empty()) {
      warn(fmt::format("{} cannot be {}, so new kernels are not kept: {}", options.directory.string(),
                       own ? "written" : "used", problem));
    }
  }
  for (const auto& path : options.read_only) {
    try {
      read_only.push_back(open_tier(path));
    } catch (const std::exception& error) {
      warn(fmt::format("the read-only cache {} is left out: {}", path.string(), error.what()));
    }
  }
}

std::optional<Found> Store::State::find_own(const Key& key) const {
  if (!own) return std::nullopt;
  std::string problem;
  auto entry = own->find(key, &problem);
  if (!problem.empty()) warn(problem);
  if (!entry) return std::nullopt;
  return Found{std::move(*entry), Tier::directory};
}

std::optional<Found> Store::State::find(const Key& key) const {
  if (auto found = find_own(key)) return found;
  for (const ReadOnlyTier& tier : read_only) {
    std::string problem;
    auto entry = std::visit([&](const auto& place) { return place.find(key, &problem); }, tier);
    if (!problem.empty()) warn(problem);
    if (entry) return Found{std::move(*entry), Tier::read_only};
  }
  return std::nullopt;
}

std::optional<Found> Store::State::find_any_toolchain(const Digest& request) const {
  std::vector<Key> keys;
  if (own) keys = own->keys(request);
  for (const ReadOnlyTier& tier : read_only) {
    for (Key& key : std::visit([&](const auto& place) { return place.keys(request); }, tier))
      keys.push_back(std::move(key));
  }
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());

  std::optional<Found> newest;
  for (const Key& key : keys) {
    auto found = find(key);
    if (found && (!newest || found->entry.created > newest->entry.created)) newest = std::move(found);
  }
  return newest;
}

// Look, lock, look again. While another process builds, look again now and then: its lock goes when it is
// done or dead.
FoundOrLock Store::State::find_or_lock(const Key& key) const {
  using std::chrono::milliseconds;
  using std::chrono::steady_clock;

  if (auto found = find(key)) return {std::move(found), BuildLock()};
  if (!own || !own->writable()) return {};
  const auto deadline = steady_clock::now() + options.lock_wait;
  for (milliseconds pause{1};; pause = std::min(2 * pause, milliseconds{20})) {
    LockAttempt attempt = try_lock(*own, key.name());
    if (auto found = find_own(key)) return {std::move(found), BuildLock()};
    if (!attempt.busy) return {std::nullopt, std::move(attempt.lock)};
    if (steady_clock::now() >= deadline) {
      warn(fmt::format("waited {} ms for another process to build {}; building it here too",
                       options.lock_wait.count(), key.name()));
      return {};
    }
    std::this_thread::sleep_for(pause);
  }
}

bool Store::State::insert(Entry entry) {
  if (!own || !own->writable()) return false;
  if (entry.created == 0) entry.created = now_stamp() / 1'000'000'000;
  const std::string bytes = encode(entry);
  if (options.limit_bytes != 0 && bytes.size() > options.limit_bytes) {
    warn(fmt::format("{} is not kept: it has {} bytes, and the limit of the whole cache is {}",
                     entry.key.name(), bytes.size(), options.limit_bytes));
    return false;
  }
  if (const int error = own->publish(entry.key, bytes)) {
    warn(fmt::format("{} is not kept in {}: {}", entry.key.name(), own->path().string(), reason(error)));
    return false;
  }
  make_room(bytes.size());
  return true;
}

// A sweep reads every shard, so it is done once for many inserts: each after the first is due when the
// directory may be full, or a sixteenth of the limit was inserted here, because other processes insert too.
// It leaves a tenth free.
void Store::State::make_room(std::uint64_t inserted_bytes) {
  const std::uint64_t limit = options.limit_bytes;
  if (limit == 0) return;
  const auto bytes = static_cast<std::int64_t>(inserted_bytes);
  if (bytes_until_sweep.fetch_sub(bytes) > bytes) return;
  const std::unique_lock turn(sweeping, std::try_to_lock);
  if (!turn) return;
  const GcResult result = sweep(*own, limit, limit - limit / 10);
  const std::uint64_t room = result.kept_bytes < limit ? limit - result.kept_bytes : limit;
  bytes_until_sweep = static_cast<std::int64_t>(std::min(room, limit / 16));
}

Store::Store(StoreOptions options) : state_(std::make_unique<State>(std::move(options))) {}
Store::~Store() = default;

std::optional<Found> Store::find(const Key& key) {
  return state_->guarded([&] { return state_->find(key); });
}

std::optional<Found> Store::find_any_toolchain(const Digest& request) {
  return state_->guarded([&] { return state_->find_any_toolchain(request); });
}

FoundOrLock Store::find_or_lock(const Key& key) {
  return state_->guarded([&] { return state_->find_or_lock(key); });
}

bool Store::insert(const Entry& entry) {
  return state_->guarded([&] { return state_->insert(entry); });
}

const StoreOptions& Store::options() const {
  return state_->options;
}

}  // namespace sprue::cache
