"""A small web shop's back end: orders, refunds, cancellations, addresses, invoices and complaints over HTTP."""
