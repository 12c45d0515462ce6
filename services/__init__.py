"""The five services. They meet on the topics only; none imports another."""
