"use strict";
// The collector's stream of events, shared by all tabs: over HTTP/1.1 a browser opens at most six
// connections to a server, so a stream in each tab would block the seventh. This file is the shared
// worker; in a browser without shared workers each tab runs it itself.
(() => {
  const RETRY_MS = 2000; // after the stream was refused
  const SCRIPT = typeof document === "undefined" ? self.location.href : document.currentScript.src;
  const LIVE = new URL("../api/v1/live", SCRIPT); // a worker knows no path but its own

  // Opens the stream; `send` gets {kind: "open" | "error" | "rows" | "run" | "reset", data}.
  const connect = (send) => {
    let source = null;
    let retry = null;
    const open = () => {
      source = new EventSource(LIVE);
      source.onopen = () => send({ kind: "open" });
      source.onerror = () => {
        send({ kind: "error" });
        if (source.readyState !== EventSource.CLOSED) return;
        retry = setTimeout(open, RETRY_MS);
      };
      for (const kind of ["rows", "run", "reset"])
        source.addEventListener(kind, (event) => send({ kind, data: JSON.parse(event.data) }));
    };
    open();
    return {
      isOpen: () => source.readyState === EventSource.OPEN,
      close: () => {
        clearTimeout(retry);
        source.close();
      },
    };
  };

  // In the worker: open while any tab listens.
  const serve = () => {
    const tabs = new Set();
    let stream = null;
    const send = (message) => tabs.forEach((tab) => tab.postMessage(message));
    self.onconnect = ({ ports: [tab] }) => {
      tabs.add(tab);
      tab.onmessage = () => {
        tabs.delete(tab); // the only message of a tab is that it leaves
        if (tabs.size || !stream) return;
        stream.close();
        stream = null;
      };
      if (!stream) stream = connect(send);
      else if (stream.isOpen()) tab.postMessage({ kind: "open" });
    };
  };

  if (typeof SharedWorkerGlobalScope !== "undefined" && self instanceof SharedWorkerGlobalScope) {
    serve();
    return;
  }

  window.htga = window.htga || {};
  // Calls `send` for every event; returns a function that stops this.
  htga.listen = (send) => {
    if (!window.SharedWorker) return connect(send).close;
    const { port } = new SharedWorker(SCRIPT, "htga-live");
    let left = false;
    port.onmessage = ({ data }) => left || send(data);
    return () => {
      left = true;
      port.postMessage("leave");
    };
  };
})();
