using System.Net;
using System.Security.Cryptography;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Support;

/// <summary>
/// Pushes as Jib does (one chunked PATCH without a range, an empty PUT, each request on a connection of its own and to any
/// replica): a request whose connection fails or that is not answered in time is sent again, the same bytes to the same
/// URL; an error status is never retried.
/// </summary>
internal sealed class RetryingClient(ReplicaSet replicas, string repository, TimeSpan? patience = null)
{
    private const int Attempts = 11;

    /// <summary>How many requests were sent again.</summary>
    public int Repeated { get; private set; }

    /// <param name="parts">The content: what many pushes have in common need not be held more than once.</param>
    public async Task PushAsync(params byte[][] parts)
    {
        using var sha256 = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Array.ForEach(parts, sha256.AppendData);
        var digest = $"sha256:{Convert.ToHexStringLower(sha256.GetHashAndReset())}";
        string location;
        using (var head = await SendAsync(HttpMethod.Head, $"/v2/{repository}/blobs/{digest}", null))
        {
            head.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        }

        using (var started = await SendAsync(HttpMethod.Post, $"/v2/{repository}/blobs/uploads/", []))
        {
            await started.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
            location = started.Headers.Location!.ToString();
        }

        using (var patched = await SendAsync(HttpMethod.Patch, location, parts, chunked: true))
        {
            await patched.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
            location = patched.Headers.Location!.ToString();
        }

        using var closed = await SendAsync(HttpMethod.Put, RegistryClient.WithQuery(location, $"digest={digest}"), []);
        await closed.ShouldHaveStatusAsync(HttpStatusCode.Created);
    }

    private async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, byte[][]? body, bool chunked = false)
    {
        for (var attempt = 1; ; attempt++)
        {
            using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false })
            {
                BaseAddress = replicas.Any.Http.BaseAddress,
                Timeout = patience ?? TimeSpan.FromSeconds(60),
            };
            using var request = new HttpRequestMessage(method, path);
            request.Content = body is null ? null : new Parts(body);
            request.Headers.TransferEncodingChunked = chunked ? true : null;
            try
            {
                return await http.SendAsync(request);
            }
            catch (Exception e) when (attempt < Attempts && e is HttpRequestException or TaskCanceledException)
            {
                Repeated++;
                await Task.Delay(50 * attempt);
            }
        }
    }

    private sealed class Parts(byte[][] parts) : HttpContent
    {
        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            foreach (var part in parts)
            {
                await stream.WriteAsync(part);
            }
        }

        protected override bool TryComputeLength(out long length)
        {
            length = parts.Sum(part => (long)part.Length);
            return true;
        }
    }
}
