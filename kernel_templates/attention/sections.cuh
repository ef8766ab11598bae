// The order of tiles in a grid of rows and columns whose rows differ in length. Included by an attention kernel.
#pragma once

struct TilePlace {
  int column, row;
};

// Tile `index`. Sections of `section` neighbouring columns follow each other, and in each its rows do. The last section
// begins at column `last` and has all that are left: a narrow one would end with few blocks that have a tile.
__device__ __forceinline__ TilePlace tile_in_sections(int index, int rows, int columns, int section, int last) {
  const int first = min(index / (section * rows) * section, last);
  const int width = first == last ? columns - first : section;
  const int local = index - first * rows;
  return {first + local % width, local / width};
}
