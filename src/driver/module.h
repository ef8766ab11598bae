// Module: a cubin in the driver, with its one kernel. Independent of contexts: the same handle serves every
// device of the cubin's architecture. Thread-safe.
#pragma once

#include <string>
#include <string_view>

struct CUlib_st;
struct CUkern_st;

namespace sprue::driver {

/// What the driver says about a kernel on one device.
struct KernelAttributes {
  int registers = 0;
  int local_bytes = 0;  ///< Per thread: stack and spills.
  int static_shared_bytes = 0;
  int most_threads = 0;  ///< The largest block that can be launched.
};

class Module {
 public:
  /// Gives the cubin to the driver, which copies it, and finds the kernel named `entry`. CudaError if either
  /// fails.
  Module(std::string_view image, std::string entry);
  ~Module();
  Module(Module&& other) noexcept;
  Module& operator=(Module&& other) noexcept;

  /// For launch(); valid on every device for as long as the module lives.
  void* kernel() const { return kernel_; }

  /// Allows `shared_bytes` of dynamic shared memory per block on a device and loads the code there now, not
  /// at the first launch. Needed once per device. CudaError if the device has less shared memory, or cannot
  /// run the cubin.
  void prepare(int device, int shared_bytes) const;

  KernelAttributes attributes(int device) const;
  /// How many blocks of that size are resident on one multiprocessor; after prepare().
  int blocks_per_multiprocessor(int device, int threads, int shared_bytes) const;
  /// How many of the clusters that the kernel was compiled for are resident on the device, 0 if for none;
  /// after prepare(). Not every multiprocessor may have neighbours enough for one.
  int clusters_at_once(int device, int threads, int shared_bytes) const;

 private:
  std::string entry_;
  CUlib_st* library_ = nullptr;
  CUkern_st* kernel_ = nullptr;
};

}  // namespace sprue::driver
