// The one place that knows where Catch2 2.x keeps its header.
#pragma once

#include <catch2/catch.hpp>
