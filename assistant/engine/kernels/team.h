// The threads that compute a step together. They are started once for all of its layers and meet after each
// part: starting threads anew for every matrix takes longer than multiplying with it. Knows no numbers.

#pragma once

#include <immintrin.h>
#include <omp.h>

#include <atomic>
#include <cstdint>
#include <thread>

namespace {

constexpr int kPatience = 2000;  // pauses; some 50 us, longer than parts of a step differ where all run

struct Meeting {
  alignas(64) std::atomic<int> arrived{0};
  alignas(64) std::atomic<int> number{0};
};

struct Member {
  Meeting& meeting;
  int64_t number, count;

  // Return when all have come here: each sees what the others have written before.
  void meet() const {
    const int now = meeting.number.load(std::memory_order_relaxed);
    if (meeting.arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == count) {
      meeting.arrived.store(0, std::memory_order_relaxed);
      meeting.number.store(now + 1, std::memory_order_release);
      return;
    }
    for (int tries = 0; meeting.number.load(std::memory_order_acquire) == now; ++tries) {
      if (tries < kPatience) _mm_pause();
      else std::this_thread::yield();  // a thread that all wait for may need this core
    }
  }

  int64_t begin(int64_t things) const { return things * number / count; }
  int64_t end(int64_t things) const { return things * (number + 1) / count; }
};

// Call work(member) on so many threads at once.
template <typename Work>
void work_together(int threads, const Work& work) {
  Meeting meeting;
#pragma omp parallel num_threads(threads)
  work(Member{meeting, omp_get_thread_num(), omp_get_num_threads()});
}

}  // namespace
