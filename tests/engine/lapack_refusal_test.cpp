// The host's decomposition where LAPACK does not converge. This program's own LAPACKE functions
// come before the library's: they refuse as often as a test asks, and pass every other call on.
#include <dlfcn.h>
#include <lapacke.h>

#include "engine/decomposition.h"
#include "engine/error.h"
#include "tests/engine/seam_reference.h"

namespace {

int refuse_gesdd = 0, refuse_gesvd = 0, refuse_syevd = 0;  // calls

bool refused(int& left, lapack_int work_size) {
  if (work_size == -1 || left == 0) return false;  // -1 asks for the size of the workspace
  --left;
  return true;
}

template <class F>
F* library(const char* name, F*) {
  return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

lapack_int LAPACKE_sgesdd_work(int layout, char job, lapack_int m, lapack_int n, float* a,
                               lapack_int lda, float* s, float* u, lapack_int ldu, float* vt,
                               lapack_int ldvt, float* work, lapack_int size,
                               lapack_int* integers) {
  if (refused(refuse_gesdd, size)) return 1;
  static const auto call = library("LAPACKE_sgesdd_work", &LAPACKE_sgesdd_work);
  return call(layout, job, m, n, a, lda, s, u, ldu, vt, ldvt, work, size, integers);
}

lapack_int LAPACKE_sgesvd_work(int layout, char job_u, char job_vt, lapack_int m, lapack_int n,
                               float* a, lapack_int lda, float* s, float* u, lapack_int ldu,
                               float* vt, lapack_int ldvt, float* work, lapack_int size) {
  if (refused(refuse_gesvd, size)) return 1;
  static const auto call = library("LAPACKE_sgesvd_work", &LAPACKE_sgesvd_work);
  return call(layout, job_u, job_vt, m, n, a, lda, s, u, ldu, vt, ldvt, work, size);
}

lapack_int LAPACKE_ssyevd_work(int layout, char job, char part, lapack_int n, float* a,
                               lapack_int lda, float* w, float* work, lapack_int size,
                               lapack_int* integers, lapack_int integer_size) {
  if (refused(refuse_syevd, size)) return 1;
  static const auto call = library("LAPACKE_ssyevd_work", &LAPACKE_ssyevd_work);
  return call(layout, job, part, n, a, lda, w, work, size, integers, integer_size);
}

}  // extern "C"

namespace ab::test {
namespace {

DecompositionReport decompose(SvdRoute route) {
  Rig rig(DeviceKind::kHost);
  // diag(2, 1) above a row of zeros: sigma 2 and 1.
  const Buffer w = upload(rig, {2, 0, 0, 1, 0, 0});
  return rig.device->decomposition()
      .decompose(rig.stream, rig.arena, Tensor(w.data(), {3, 2}, DType::kFloat32), 0.1f, route)
      .report;
}

void check(SvdRoute route, const std::string& driver) {
  const DecompositionReport report = decompose(route);
  CHECK(report.driver == driver);
  CHECK(report.k == 2);
  CHECK(report.sigma_max == Approx(2.0f));
  CHECK(report.residual <= 5 * 0x1p-23f);
}

TEST_CASE("decomposition: LAPACK refuses, and the next driver takes over", "[decomposition]") {
  check(SvdRoute::kFull, "gesdd");
  check(SvdRoute::kGram, "gram");
  refuse_gesdd = 1;
  check(SvdRoute::kFull, "gesvd");
  refuse_gesdd = refuse_gesvd = 1;
  check(SvdRoute::kFull, "gram");
  refuse_syevd = 1;
  check(SvdRoute::kGram, "gesdd");
  refuse_syevd = refuse_gesdd = 1;
  check(SvdRoute::kGram, "gesvd");
  CHECK(refuse_gesdd + refuse_gesvd + refuse_syevd == 0);
  refuse_gesdd = refuse_gesvd = refuse_syevd = 1;
  CHECK_THROWS_AS(decompose(SvdRoute::kFull), DeviceError);
  CHECK(refuse_gesdd + refuse_gesvd + refuse_syevd == 0);
}

}  // namespace
}  // namespace ab::test
