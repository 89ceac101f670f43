"""Operations on the store as a whole: rebuild, verify, deletion, dead letters, taxonomies. The pipeline never imports them."""
