// Types.
#pragma once

using f32 = float;
