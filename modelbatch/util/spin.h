// Waiting for another thread that is about to be done.
#ifndef MODELBATCH_UTIL_SPIN_H_
#define MODELBATCH_UTIL_SPIN_H_

#include <chrono>
#include <thread>

namespace modelbatch {

inline void Relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

// Spins until done() or until `limit` is over; returns done().
template <typename Done>
bool SpinUntil(std::chrono::microseconds limit, Done done) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  do {
    for (int i = 0; i < 64; ++i) {
      if (done()) return true;
      Relax();
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return done();
}

// Returns when done() is true. Whoever makes it true may have been put aside by
// the system, by this thread even: then it gives way.
template <typename Done>
void SpinOrYieldUntil(Done done) {
  constexpr std::chrono::microseconds kLimit{5};
  while (!SpinUntil(kLimit, done)) std::this_thread::yield();
}

}  // namespace modelbatch

#endif  // MODELBATCH_UTIL_SPIN_H_
