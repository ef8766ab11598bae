#include "workers.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <system_error>
#include <utility>

extern char** environ;

namespace sprue::tools {
namespace {

constexpr int kSocket = 3;         // the worker's end, in the worker
constexpr int kPatienceMs = 3000;  // for workers to end by themselves

[[noreturn]] void fail(int error, const char* what) {
  throw std::system_error(error, std::generic_category(), what);
}

/// A whole line without its end, taken from `buffer` or read from the socket. Nothing when the other end has
/// gone.
std::optional<std::string> read_line(int socket, std::string& buffer) {
  for (;;) {
    if (const std::size_t end = buffer.find('\n'); end != std::string::npos) {
      std::string line = buffer.substr(0, end);
      buffer.erase(0, end + 1);
      return line;
    }
    char bytes[4096];
    const ssize_t got = recv(socket, bytes, sizeof bytes, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return std::nullopt;
    buffer.append(bytes, static_cast<std::size_t>(got));
  }
}

/// False when the other end has gone; unlike write, that raises no signal.
bool write_line(int socket, std::string line) {
  line += '\n';
  for (std::size_t sent = 0; sent < line.size();) {
    const ssize_t n = send(socket, line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    sent += static_cast<std::size_t>(n);
  }
  return true;
}

/// While it lives, SIGINT and SIGTERM are read from descriptor() instead of ending the process.
class StopSignals {
 public:
  StopSignals() {
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &stop, &before_);
    descriptor_ = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
    if (descriptor_ < 0) fail(errno, "signalfd");
  }
  ~StopSignals() {
    signalfd_siginfo taken;  // else the signal would end the process now
    while (read(descriptor_, &taken, sizeof taken) > 0) continue;
    close(descriptor_);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  int descriptor() const { return descriptor_; }
  const sigset_t& before() const { return before_; }

 private:
  sigset_t before_;
  int descriptor_ = -1;
};

/// One worker process and the socket to it. Destroying it closes the socket, which tells the worker to end.
class Worker {
 public:
  Worker(const std::vector<std::string>& arguments, const sigset_t& signals) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) fail(errno, "socketpair");
    socket_ = ends[0];
    std::vector<char*> argv{const_cast<char*>("sprue")};
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);

    sigset_t mask = signals;
    sigaddset(&mask,
              SIGINT);  // Ctrl-C reaches every process of the terminal; the workers are ended by their socket
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &mask);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, ends[1], kSocket);
    const int error = posix_spawn(&process_, "/proc/self/exe", &files, &attributes, argv.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    close(ends[1]);
    if (error != 0) {
      close(socket_);
      fail(error, "cannot start a worker process");
    }
  }
  ~Worker() {
    hang_up();
    if (process_ <= 0) return;
    for (int waited = 0; waited < kPatienceMs; waited += 2) {
      if (waitpid(process_, nullptr, WNOHANG) != 0) return;
      usleep(2000);
    }
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
  }
  Worker(Worker&& other) noexcept
      : job(other.job),
        process_(std::exchange(other.process_, -1)),
        socket_(std::exchange(other.socket_, -1)),
        buffer_(std::move(other.buffer_)) {}
  Worker& operator=(Worker&& other) noexcept {
    std::swap(job, other.job);
    std::swap(process_, other.process_);
    std::swap(socket_, other.socket_);
    std::swap(buffer_, other.buffer_);
    return *this;
  }

  int socket() const { return socket_; }
  void ask(std::size_t number, const std::string& line) {
    job = number;
    write_line(socket_, line);  // if it has died, the answer will tell
  }
  std::optional<std::string> answer() { return read_line(socket_, buffer_); }
  void hang_up() {
    if (socket_ >= 0) close(std::exchange(socket_, -1));
  }
  /// How the process ended; it has, for its socket is closed.
  std::string bury() {
    int status = 0;
    waitpid(std::exchange(process_, -1), &status, 0);
    if (WIFSIGNALED(status))
      return fmt::format("killed by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
    return fmt::format("ended with exit code {}", WEXITSTATUS(status));
  }

  std::optional<std::size_t> job;  ///< The one that it is at.

 private:
  pid_t process_ = -1;
  int socket_ = -1;
  std::string buffer_;
};

}  // namespace

bool run_workers(const std::vector<std::string>& jobs, std::size_t count,
                 const std::vector<std::string>& arguments,
                 const std::function<void(const WorkerAnswer&)>& answered) {
  const StopSignals signals;
  std::vector<Worker> workers;
  std::size_t next = 0;
  const auto give = [&](Worker& worker) {
    worker.job.reset();
    if (next == jobs.size()) return worker.hang_up();
    worker.ask(next, jobs[next]);
    ++next;
  };
  for (std::size_t i = 0; i < std::min(count, jobs.size()); ++i)
    give(workers.emplace_back(arguments, signals.before()));

  for (std::size_t done = 0; done < jobs.size();) {
    std::vector<pollfd> waiting{{signals.descriptor(), POLLIN, 0}};
    for (const Worker& worker : workers)
      waiting.push_back({worker.socket(), POLLIN, 0});  // -1 is passed over
    if (poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) fail(errno, "poll");
    if (waiting.front().revents != 0) {
      for (Worker& worker : workers) worker.hang_up();  // all at once, so that they end side by side
      return false;
    }
    for (std::size_t i = 0; i < workers.size(); ++i) {
      if (waiting[i + 1].revents == 0) continue;
      const std::size_t job = *workers[i].job;
      if (const auto line = workers[i].answer()) {
        answered({job, *line, ""});
      } else {
        answered({job, "", workers[i].bury()});
        workers[i].hang_up();
        if (next < jobs.size()) workers[i] = Worker(arguments, signals.before());
      }
      ++done;
      give(workers[i]);
    }
  }
  return true;
}

void serve_jobs(const std::function<std::string(const std::string&, const std::function<bool()>&)>& work) {
  const auto cancelled = [] {
    pollfd socket{kSocket, POLLRDHUP, 0};
    return poll(&socket, 1, 0) > 0;
  };
  std::string buffer;
  while (const auto job = read_line(kSocket, buffer)) {
    if (!write_line(kSocket, work(*job, cancelled))) return;
  }
}

}  // namespace sprue::tools
