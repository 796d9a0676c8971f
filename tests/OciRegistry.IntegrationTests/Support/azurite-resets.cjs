// Azurite 3.35 has room for 50 writes at a time, and one whose request was reset before it was read keeps its place for
// ever: after 50 killed or hurried clients it stores nothing any more. Such a write fails here.
const fs = require("fs");
const path = require("path");
const azurite = path.dirname(fs.realpathSync(process.argv[1]));
const { prototype } = require(path.join(azurite, "../common/persistence/FSExtentStore")).default;
const streamPipe = prototype.streamPipe;
prototype.streamPipe = function (source, ...rest) {
  return source.destroyed ? Promise.reject(new Error("The request was reset.")) : streamPipe.call(this, source, ...rest);
};
