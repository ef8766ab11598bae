// SingleFlight: threads that want the same thing at once make it once. Results and failures are handed to
// every waiter and then forgotten; remembering results is the caller's business. No lock is held while
// making.
#pragma once

#include <exception>
#include <future>
#include <map>
#include <mutex>

namespace sprue {

template <class Key, class Result>
class SingleFlight {
 public:
  /// Runs `make`, or waits for the thread that already does for an equal key. Rethrows what `make` throws.
  /// `make` must first look whether the thing exists by now: a flight may have landed between the caller's
  /// look and this call. `on_wait` is called before waiting.
  template <class Make, class OnWait>
  Result run(const Key& key, const Make& make, const OnWait& on_wait) {
    std::promise<Result> promise;
    {
      std::unique_lock lock(mutex_);
      const auto [flight, first] = flights_.try_emplace(key);
      if (!first) {
        const std::shared_future<Result> landing = flight->second;
        lock.unlock();
        on_wait();
        return landing.get();
      }
      flight->second = promise.get_future().share();
    }
    try {
      Result result = make();
      forget(key);
      promise.set_value(result);
      return result;
    } catch (...) {
      forget(key);
      promise.set_exception(std::current_exception());
      throw;
    }
  }

 private:
  void forget(const Key& key) {
    const std::lock_guard lock(mutex_);
    flights_.erase(key);
  }

  std::mutex mutex_;
  std::map<Key, std::shared_future<Result>> flights_;
};

}  // namespace sprue
