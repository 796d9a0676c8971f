using System.Diagnostics;
using System.Net;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Chaos;

/// <summary>Pushes a blob as clients do: HEAD, mount, upload in one request or in chunks, retry.</summary>
internal sealed class ChaosPush(ChaosClient client, ChaosReads reads)
{
    private const int Tries = 3;
    private const string Octets = "application/octet-stream";

    private Random Random => client.Random;

    /// <summary>Whether the registry has confirmed that it has the blob.</summary>
    public async Task<bool> PushAsync(string repository, ChaosBlob blob)
    {
        var key = new ChaosKey(KeyKind.Blob, repository, blob.Digest.ToString());
        if (Random.Next(4) > 0 && await HeadAsync(key, blob))
        {
            return true;
        }

        for (var tries = 0; tries < Tries; tries++)
        {
            var pushed = Random.Next(3) switch
            {
                0 => await MountAsync(key, blob),
                1 => await WriteAsync($"/v2/{repository}/blobs/uploads/?digest={blob.Digest}", HttpMethod.Post, key, blob.Content),
                _ => await UploadAsync(key, blob, await StartAsync(repository)),
            };
            if (pushed)
            {
                return true;
            }
        }

        return false;
    }

    private async Task<bool> HeadAsync(ChaosKey key, ChaosBlob blob)
    {
        var head = await client.ReadAsync($"/v2/{key.Repository}/blobs/{blob.Digest}", HttpMethod.Head);
        if (head.Status == HttpStatusCode.OK && head.Length != blob.Content.Length)
        {
            client.Violate($"{head.Length} bytes instead of {blob.Content.Length}", head);
        }

        reads.SawPresence(key, head);
        return head.Status == HttpStatusCode.OK;
    }

    private async Task<bool> MountAsync(ChaosKey key, ChaosBlob blob)
    {
        var from = ChaosSettings.AnyRepository(Random);
        var source = key with { Repository = from };
        var answer = await client.WriteAsync(
            HttpMethod.Post,
            $"/v2/{key.Repository}/blobs/uploads/?mount={blob.Digest}&from={from}",
            HttpStatusCode.Created,
            null,
            (key, ChaosHistory.Present));
        if (answer.Status is HttpStatusCode.Created or HttpStatusCode.Accepted)
        {
            reads.Saw(source, answer.Status == HttpStatusCode.Created ? ChaosHistory.Present : null, answer);
        }

        return answer.Status == HttpStatusCode.Created || answer.Status == HttpStatusCode.Accepted && await UploadAsync(key, blob, answer);
    }

    private Task<ChaosAnswer> StartAsync(string repository) => client.WriteAsync(
        HttpMethod.Post, $"/v2/{repository}/blobs/uploads/", HttpStatusCode.Accepted, null);

    /// <summary>Sends chunks, each to the Location of the previous response, and the rest with the closing request.</summary>
    private async Task<bool> UploadAsync(ChaosKey key, ChaosBlob blob, ChaosAnswer last)
    {
        var sent = 0;
        while (last.Status == HttpStatusCode.Accepted)
        {
            // Some clients are slow: the cleanup of uploads meets their sessions.
            await Task.Delay(Random.Next(8) == 0 ? Random.Next(1_500) : 0);
            var rest = blob.Content[sent..];
            var chunk = Random.Next(3) switch { 0 => 0, 1 => rest.Length, _ => Random.Next(rest.Length + 1) };
            if (chunk == 0)
            {
                var close = RegistryClient.WithQuery(last.Location!, $"digest={blob.Digest}");
                return await WriteAsync(close, HttpMethod.Put, key, rest, last)
                    || (Random.Next(2) == 0 && await WriteAsync(close, HttpMethod.Put, key, rest));
            }

            var next = await client.WriteAsync(HttpMethod.Patch, last.Location!, HttpStatusCode.Accepted, (rest[..chunk], Octets));
            AssertIsKnown(next, last);
            (sent, last) = (sent + chunk, next);
        }

        return false;
    }

    private async Task<bool> WriteAsync(string path, HttpMethod method, ChaosKey key, byte[] bytes, ChaosAnswer? last = null)
    {
        var answer = await client.WriteAsync(
            method, path, HttpStatusCode.Created, bytes.Length == 0 ? null : (bytes, Octets), (key, ChaosHistory.Present));
        AssertIsKnown(answer, last);
        return answer.Status == HttpStatusCode.Created;
    }

    /// <summary>No session is unknown before its idle expiry.</summary>
    private void AssertIsKnown(ChaosAnswer answer, ChaosAnswer? last)
    {
        if (last is not null && answer is { IsUnknown: false, Status: HttpStatusCode.NotFound }
            && Stopwatch.GetElapsedTime(last.Start, answer.End) is var age && age < ChaosSettings.IdleExpiry)
        {
            client.Violate($"an upload that was accepted {age} ago is lost", answer);
        }
    }
}
