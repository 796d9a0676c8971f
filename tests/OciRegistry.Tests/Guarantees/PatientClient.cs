using System.Globalization;
using System.Net;
using OciRegistry.Tests.Faults;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Guarantees;

/// <summary>
/// Pushes as Jib does (POST, one chunked PATCH, an empty PUT), each request to any replica, and sends the same request to
/// the same address again when no answer comes in time or the answer says so. It judges every answer on the way.
/// </summary>
internal sealed class PatientClient(IReadOnlyList<FaultyRegistry> replicas, int seed, TimeSpan readTimeout, bool mayFail)
{
    private const int Patience = 200;

    private readonly Random _random = new(seed);

    /// <summary>Requests that were sent again because no answer came in time.</summary>
    public int TimedOut { get; private set; }

    /// <summary>Requests that were sent again because of a 503 or 409.</summary>
    public int Repeated { get; private set; }

    public async Task<Digest> PushBlobAsync(string repository, byte[] content)
    {
        var digest = Digest.Of(content);
        await AssertUnknownAsync(repository, digest);
        var started = await SendAsync("POST", () => $"/v2/{repository}/blobs/uploads/", null, HttpStatusCode.Accepted);
        var patched = await SendAsync("PATCH", () => started, content, HttpStatusCode.Accepted);
        patched.ShouldEndWith($"offset={content.Length}");
        await AssertUnknownAsync(repository, digest);
        var close = RegistryClient.WithQuery(patched, $"digest={digest}");
        (await SendAsync("PUT", () => close, [], HttpStatusCode.Created)).ShouldEndWith(digest.ToString());
        await AssertThereAsync(repository, digest, content);
        return digest;
    }

    public async Task PushImageAsync(string repository, string tag, byte[] config, byte[][] layers)
    {
        foreach (var blob in layers.Append(config))
        {
            await PushBlobAsync(repository, blob);
        }

        var manifest = RegistryClient.ImageManifest(config, layers);
        await SendAsync("PUT", () => $"/v2/{repository}/manifests/{tag}", manifest, HttpStatusCode.Created);
        foreach (var registry in replicas)
        {
            (await GetAsync(registry, HttpMethod.Get, $"/v2/{repository}/manifests/{tag}")).ShouldBeBytes(manifest);
        }
    }

    /// <summary>On every replica: HEAD and GET that start after the 201 was received find every byte.</summary>
    private async Task AssertThereAsync(string repository, Digest digest, byte[] content)
    {
        foreach (var registry in replicas)
        {
            (await GetAsync(registry, HttpMethod.Head, $"/v2/{repository}/blobs/{digest}")).ShouldNotBeNull();
            (await GetAsync(registry, HttpMethod.Get, $"/v2/{repository}/blobs/{digest}")).ShouldBeBytes(content);
        }
    }

    private async Task AssertUnknownAsync(string repository, Digest digest)
    {
        foreach (var registry in replicas)
        {
            (await GetAsync(registry, HttpMethod.Head, $"/v2/{repository}/blobs/{digest}", HttpStatusCode.NotFound)).ShouldBeEmpty();
            (await GetAsync(registry, HttpMethod.Get, $"/v2/{repository}/blobs/{digest}", HttpStatusCode.NotFound)).ShouldNotBeEmpty();
        }
    }

    /// <summary>The body of the expected answer. A body that is cut off is asked for again; a short one is an error.</summary>
    private async Task<byte[]> GetAsync(
        FaultyRegistry registry, HttpMethod method, string path, HttpStatusCode expected = HttpStatusCode.OK)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                using var response = await registry.Http.SendAsync(new HttpRequestMessage(method, path));
                var body = await response.Content.ReadAsByteArrayAsync();
                if (!await MayBeRepeatedAsync(response, attempt))
                {
                    response.StatusCode.ShouldBe(expected, path);
                    return body;
                }
            }
            catch (HttpRequestException) when (mayFail && attempt < Patience)
            {
                Repeated++;
            }
        }
    }

    /// <summary>The Location of the expected answer.</summary>
    private async Task<string> SendAsync(string method, Func<string> address, byte[]? body, HttpStatusCode expected)
    {
        var timeout = readTimeout;
        for (var attempt = 1; ; attempt++)
        {
            var registry = replicas[_random.Next(replicas.Count)];
            using var request = new HttpRequestMessage(new HttpMethod(method), address())
            {
                Content = new ByteArrayContent(body ?? []),
            };
            request.Headers.ConnectionClose = true;
            request.Headers.TransferEncodingChunked = method == "PATCH" ? true : null;
            if (address().Contains("/manifests/", StringComparison.Ordinal))
            {
                request.Content.Headers.ContentType = new(MediaTypes.ImageManifest);
            }

            using var impatience = new CancellationTokenSource(timeout);
            try
            {
                using var response = await registry.Http.SendAsync(request, impatience.Token);
                if (!await MayBeRepeatedAsync(response, attempt))
                {
                    await response.ShouldHaveStatusAsync(expected);
                    return response.Headers.Location!.ToString();
                }
            }
            catch (OperationCanceledException) when (attempt < Patience)
            {
                // A machine that is busy must not time out for ever.
                TimedOut++;
                timeout *= 1.5;
            }
        }
    }

    private async Task<bool> MayBeRepeatedAsync(HttpResponseMessage response, int attempt)
    {
        if (response.StatusCode is not (HttpStatusCode.ServiceUnavailable or HttpStatusCode.Conflict))
        {
            return false;
        }

        var answer = await response.Content.ReadAsStringAsync();
        attempt.ShouldBeLessThan(Patience, answer);
        if (response.StatusCode == HttpStatusCode.ServiceUnavailable)
        {
            mayFail.ShouldBeTrue(answer);
            int.Parse(response.Header("Retry-After")!, CultureInfo.InvariantCulture).ShouldBeInRange(1, 30);
        }

        Repeated++;
        return true;
    }
}
