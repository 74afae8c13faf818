// Doctor: what is built in and found at run time, what is wrong and how to mend it.
#pragma once
#include <string>

#include "tools/train/config.h"

namespace ab {

// {"version","commit","devices":[...],"mpi","nccl","slurm","problems":[{"what","mend"}]}; mpi, nccl
// and slurm are null where absent.
Json doctor_report();
std::string doctor_text(const Json& report);

}  // namespace ab
