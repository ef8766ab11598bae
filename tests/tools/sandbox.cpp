#include "tools/sandbox.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <sstream>
#include <stdexcept>

extern char** environ;

namespace sprue::test {
namespace {

namespace fs = std::filesystem;

// One kernel that compiles at once, one whose compile takes seconds, and one that nobody can compile.
constexpr const char* kToy = R"(// y[i] = x[i] + kAdd
//% include "device/types.cuh"

// Problem: what is computed.
constexpr int kAdd = ${ADD};

// Schedule: how it is computed.
constexpr int kThreads = ${THREADS};

extern "C" __global__ void __launch_bounds__(kThreads) toy(float* y, const float* x) {
  y[blockIdx.x * kThreads + threadIdx.x] = x[blockIdx.x * kThreads + threadIdx.x] + kAdd;
}
)";
constexpr const char* kToyManifest = R"({
  "kernel": "toy", "operator": "toy", "summary": "Adds a number.", "architectures": ["sm_80", "sm_90"],
  "problem": {"ADD": {"integer": {"min": 0, "max": 1000}, "doc": "What is added."}},
  "schedule": {"THREADS": {"integer": [32, 64, 128], "doc": "Per block."}},
  "rules": [{"rule": "THREADS <= 64 || ADD > 0", "reason": "nothing takes so many to add"}],
  "launch": {"threads": "THREADS", "shared_bytes": "0", "rows_per_block": "1"},
  "defaults": [{"when": "ADD > 100", "schedule": {"THREADS": 128}, "measured": "nowhere"},
               {"schedule": {"THREADS": 64}}]
})";
constexpr const char* kSlow = R"(// Long chains of dependent arithmetic.

// Problem: what is computed.
constexpr int kSeed = ${SEED};

// Schedule: how it is computed.
constexpr int kThreads = ${THREADS};

extern "C" __global__ void __launch_bounds__(kThreads) slow(double* y) {
  double a = y[threadIdx.x], b = kSeed;
//% for i in 0..LENGTH
  a = sin(a * b + ${i}.0) / (b + 1.0), b = a > 0.5 ? pow(b, a) : y[${i}];
//% end
  y[threadIdx.x] = a + b;
}
)";
constexpr const char* kSlowManifest = R"({
  "kernel": "slow", "operator": "slow", "summary": "Takes seconds to compile.", "architectures": ["sm_80"],
  "problem": {"SEED": {"integer": {"min": 0, "max": 1000}, "doc": "Any."},
              "LENGTH": {"integer": {"min": 1, "max": 1000}, "default": 100, "doc": "40 take a second."}},
  "schedule": {"THREADS": {"integer": [32], "doc": "Per block."}},
  "launch": {"threads": "THREADS", "shared_bytes": "0", "rows_per_block": "1"},
  "defaults": [{"schedule": {"THREADS": 32}}]
})";
constexpr const char* kBroken = R"(// Uses what is not declared.

// Problem: what is computed.
constexpr int kAdd = ${ADD};

// Schedule: how it is computed.
constexpr int kThreads = ${THREADS};

extern "C" __global__ void broken(float* y) { y[threadIdx.x] = undeclared + kAdd + kThreads; }
)";

std::string with_name(std::string manifest, const std::string& name) {
  manifest.replace(manifest.find("\"toy\""), 5, '"' + name + '"');
  return manifest;
}

std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace

Sandbox::Sandbox() {
  std::string name = (fs::temp_directory_path() / "sprue-tools-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  path_ = name;
  write("templates/toy/toy.cu", kToy);
  write("templates/toy/toy.json", kToyManifest);
  write("templates/toy/broken.cu", kBroken);
  write("templates/toy/broken.json", with_name(kToyManifest, "broken"));
  write("templates/toy/slow.cu", kSlow);
  write("templates/toy/slow.json", kSlowManifest);
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    if (!text.starts_with("SPRUE_") || text.starts_with("SPRUE_NVRTC=") ||
        text.starts_with("SPRUE_EMULATED_"))
      environment_.push_back(text);
  }
  set("HOME", path_.string());
  set("XDG_CACHE_HOME", "");
  set("SPRUE_CACHE_DIR", file("cache"));
  set("SPRUE_TEMPLATES", file("templates"));
}

Sandbox::~Sandbox() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void Sandbox::write(const std::string& name, const std::string& text) const {
  fs::create_directories((path_ / name).parent_path());
  std::ofstream(path_ / name, std::ios::binary) << text;
}

std::string Sandbox::read(const std::string& name) const {
  return read_text(path_ / name);
}

void Sandbox::set(const std::string& name, const std::string& value) {
  std::erase_if(environment_, [&](const std::string& entry) { return entry.starts_with(name + '='); });
  if (!value.empty()) environment_.push_back(name + '=' + value);
}

Result Sandbox::run(const std::vector<std::string>& arguments) {
  return finish(start(arguments));
}

pid_t Sandbox::start(const std::vector<std::string>& arguments) {
  std::vector<char*> argv{const_cast<char*>("sprue")}, environment;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  for (const std::string& entry : environment_) environment.push_back(const_cast<char*>(entry.c_str()));
  argv.push_back(nullptr);
  environment.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  const std::string out = file("out.txt"), err = file("err.txt");
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_addopen(&files, 2, err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pid_t process = 0;
  const int error = posix_spawn(&process, SPRUE_TOOL, &files, nullptr, argv.data(), environment.data());
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) throw std::runtime_error("cannot start " SPRUE_TOOL);
  return process;
}

Result Sandbox::finish(pid_t process) const {
  int status = 0;
  waitpid(process, &status, 0);
  const int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return {code, read("out.txt"), read("err.txt")};
}

std::vector<pid_t> children_of(pid_t process) {
  std::vector<pid_t> children;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (!std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; })) continue;
    const std::string stat = read_text(entry.path() / "stat");  // pid (name) state parent ...
    const std::size_t end = stat.rfind(')');
    if (end == std::string::npos || stat.compare(end, 3, ") Z") == 0) continue;
    if (std::atoi(stat.c_str() + std::min(end + 4, stat.size())) == process)
      children.push_back(std::stoi(name));
  }
  return children;
}

bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    usleep(10'000);
  }
  return false;
}

}  // namespace sprue::test
