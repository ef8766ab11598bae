# The widest vectors that the machine that builds has, if it is an x86: AVX-512, else AVX2 with FMA and F16C.
include(CheckCXXSourceRuns)
foreach(level v4 v3)
  set(features_v4 "avx512f") # and what v3 has
  set(features_v3 "avx2")
  check_cxx_source_runs("
    int main() { return __builtin_cpu_supports(\"${features_${level}}\") && __builtin_cpu_supports(\"fma\") &&
      __builtin_cpu_supports(\"avx2\") ? 0 : 1; }" EMULATOR_HAS_${level})
  if(EMULATOR_HAS_${level})
    target_compile_options(sprue_emulator PRIVATE -march=x86-64-${level})
    break()
  endif()
endforeach()
