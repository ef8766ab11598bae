// in_threads: what a call gives in several threads at once.
#pragma once

#include <exception>
#include <future>
#include <string>
#include <vector>

/// The answers, or the messages of what was thrown. Failures are read here, after all threads: libstdc++
/// counts the holders of a shared exception where the thread sanitizer does not see it.
template <class Call>
std::vector<std::string> in_threads(int count, const Call& call) {
  std::vector<std::future<std::string>> running;
  for (int t = 0; t < count; ++t) running.push_back(std::async(std::launch::async, call));
  for (const auto& future : running) future.wait();
  std::vector<std::string> answers;
  for (auto& future : running) {
    try {
      answers.push_back(future.get());
    } catch (const std::exception& e) {
      answers.push_back(e.what());
    }
  }
  return answers;
}
