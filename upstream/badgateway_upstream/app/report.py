"""A report on sales: a query that reads everything, on a worker thread, written to a temporary file on its way."""

from __future__ import annotations

import csv
import io
from contextlib import closing

from badgateway_upstream.app.storage import Storage
from badgateway_upstream.app.store import Store


def sales_report(store: Store, storage: Storage) -> bytes:
    """Return the report as CSV (RFC 4180). Takes a moment; run it on a worker. Raises sqlite3.Error, OSError."""
    lines = io.StringIO()
    writer = csv.writer(lines)
    writer.writerow(("product_id", "name", "sold", "cents"))
    with closing(store.connect()) as connection:
        writer.writerows(connection.execute(_SALES))
    return storage.spool(lines.getvalue().encode())


_SALES = """
SELECT products.id, products.name, coalesce(sum(orders.quantity), 0),
       coalesce(sum(orders.quantity), 0) * products.price_cents
FROM products LEFT JOIN orders ON orders.product_id = products.id
GROUP BY products.id ORDER BY products.id
"""
