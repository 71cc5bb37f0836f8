"use strict";
// The collector's stream of events, one for all tabs of this browser: over HTTP/1.1 a browser keeps
// six connections to a server, and a stream in each tab would leave the seventh none. This file is
// that shared worker, and where a browser has no such workers each tab runs it by itself.
(() => {
  const RETRY_MS = 2000; // after the stream was refused

  // Opens the stream and tells what comes of it: {kind: "open" | "error" | "rows" | "run" | "reset", data}.
  const connect = (tell) => {
    let source = null;
    let retry = null;
    const open = () => {
      source = new EventSource("/api/v1/live");
      source.onopen = () => tell({ kind: "open" });
      source.onerror = () => {
        tell({ kind: "error" });
        if (source.readyState !== EventSource.CLOSED) return;
        retry = setTimeout(open, RETRY_MS);
      };
      for (const kind of ["rows", "run", "reset"])
        source.addEventListener(kind, (event) => tell({ kind, data: JSON.parse(event.data) }));
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
    const tell = (message) => tabs.forEach((tab) => tab.postMessage(message));
    self.onconnect = ({ ports: [tab] }) => {
      tabs.add(tab);
      tab.onmessage = () => {
        tabs.delete(tab); // the one thing that a tab says is that it leaves
        if (tabs.size || !stream) return;
        stream.close();
        stream = null;
      };
      if (!stream) stream = connect(tell);
      else if (stream.isOpen()) tab.postMessage({ kind: "open" });
    };
  };

  if (typeof SharedWorkerGlobalScope !== "undefined" && self instanceof SharedWorkerGlobalScope) {
    serve();
    return;
  }

  const script = document.currentScript.src;
  window.htga = window.htga || {};
  // Listens until what it returns is called.
  htga.listen = (tell) => {
    if (!window.SharedWorker) return connect(tell).close;
    const { port } = new SharedWorker(script, "htga-live");
    let left = false;
    port.onmessage = ({ data }) => left || tell(data);
    return () => {
      left = true;
      port.postMessage("leave");
    };
  };
})();
