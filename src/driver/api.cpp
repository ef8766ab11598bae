#include "driver/api.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <type_traits>

#include "driver/driver.h"
#include "sprue/error.h"

namespace sprue::driver {
namespace {

// cuGetProcAddress gives each function in its newest form up to this version, however new the driver is.
constexpr int kApiVersion = 12040;

struct Driver {
  Api api;
  int version = 0;
  std::string problem;
  int code = -1;
};

std::string print_with(const Api& api, CUresult result) {
  const char *name = nullptr, *text = nullptr;
  api.cuGetErrorName(result, &name);
  api.cuGetErrorString(result, &text);
  return fmt::format("{} ({}): {}", name ? name : "unknown error", static_cast<int>(result),
                     text ? text : "unknown");
}

Driver* open_driver() {
  auto* const driver = new Driver;  // never destroyed: objects with static lifetime may still hold handles
  const auto give_up = [driver](std::string problem, int code = -1) {
    driver->problem = std::move(problem);
    driver->code = code;
    return driver;
  };

  void* const library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const std::string reason = dlerror();
    return give_up("no CUDA driver: " + reason + "; install the NVIDIA driver, 525 or later");
  }
  const std::string too_old = "the CUDA driver must support CUDA 12.0 (525 or later), but has no ";
  const auto get = reinterpret_cast<decltype(&cuGetProcAddress)>(dlsym(library, "cuGetProcAddress_v2"));
  if (!get) return give_up(too_old + "cuGetProcAddress_v2");

  const auto resolve = [get](auto& function, const char* name) {
    void* address = nullptr;
    CUdriverProcAddressQueryResult found = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    const CUresult result = get(name, &address, kApiVersion, CU_GET_PROC_ADDRESS_DEFAULT, &found);
    if (result != CUDA_SUCCESS || found != CU_GET_PROC_ADDRESS_SUCCESS) return false;
    function = reinterpret_cast<std::decay_t<decltype(function)>>(address);
    return true;
  };
  const char* missing = nullptr;
// Both make the text of the name themselves: passed on to another macro, cuMemAlloc becomes cuMemAlloc_v2.
#define SPRUE_REQUIRE(name) \
  if (!resolve(driver->api.name, #name) && !missing) missing = #name;
#define SPRUE_RESOLVE(name) resolve(driver->api.name, #name);
  SPRUE_DRIVER_FUNCTIONS(SPRUE_REQUIRE)
  SPRUE_OPTIONAL_DRIVER_FUNCTIONS(SPRUE_RESOLVE)
#undef SPRUE_REQUIRE
#undef SPRUE_RESOLVE
  if (missing) return give_up(too_old + missing);

  CUresult result = driver->api.cuInit(0);
  if (result == CUDA_SUCCESS) result = driver->api.cuDriverGetVersion(&driver->version);
  if (result == CUDA_SUCCESS) return driver;
  return give_up("the CUDA driver cannot be initialised: " + print_with(driver->api, result), result);
}

const Driver& driver() {
  static const Driver* const opened = open_driver();
  return *opened;
}

}  // namespace

const Api& api() {
  const Driver& opened = driver();
  if (!opened.problem.empty()) [[unlikely]]
    throw CudaError(opened.problem, opened.code);
  return opened.api;
}

std::string print(CUresult result) {
  return print_with(api(), result);
}

void fail(CUresult result, const char* call, const std::string& detail) {
  throw CudaError(fmt::format("{} failed: {}{}{}", call, print(result), detail.empty() ? "" : "; ", detail),
                  result);
}

bool available() noexcept {
  return driver().problem.empty();
}

const std::string& unavailable_reason() noexcept {
  return driver().problem;
}

std::string version() {
  const int number = version_number();
  return fmt::format("{}.{}", number / 1000, number % 1000 / 10);
}

int version_number() {
  api();
  return driver().version;
}

}  // namespace sprue::driver
