# Collector, dashboard and command line; no torch.
FROM python:3.13-slim
WORKDIR /app
COPY . .
RUN pip install --no-cache-dir --constraint constraints.txt ".[server,dashboard]" \
 && useradd --create-home htga && install --directory --owner htga /data
USER htga
EXPOSE 8642 8643
CMD ["htga", "up", "--no-dashboard"]
