using System.Text;
using OciRegistry.Benchmarks.Support;

namespace OciRegistry.Benchmarks.Peers;

/// <summary>A request without a body, as it goes over the wire, and the status that it is to be answered with.</summary>
internal sealed record Request(string Method, byte[] Bytes, int Status)
{
    public static Request To(Peer peer, string method, string path, int status = 200, string headers = "") => new(
        method,
        Encoding.ASCII.GetBytes(
            $"{method} {path} HTTP/1.1\r\nHost: {peer.Address.Authority}\r\nAccept: {ArtifactManifest.MediaType}, */*\r\n{headers}\r\n"),
        status);
}
