using System.Net;
using OciRegistry.Storage;
using OciRegistry.Tests.Faults;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Repositories;

/// <summary>Two replicas over one directory, A and B: each is held, or fails, at the calls to its own stores.</summary>
internal sealed class ReplicaPair : IAsyncDisposable
{
    private readonly string _root;

    private ReplicaPair(string root, FaultyRegistry a, FaultyRegistry b) => (_root, A, B) = (root, a, b);

    public FaultyRegistry A { get; }

    public FaultyRegistry B { get; }

    public static async Task<ReplicaPair> StartAsync(Action<OciRegistryOptions>? settings = null, TimeProvider? time = null)
    {
        var root = Directory.CreateTempSubdirectory("oci-registry-").FullName;
        return new ReplicaPair(
            root,
            await FaultyRegistry.StartAsync(root: root, settings: settings, time: time),
            await FaultyRegistry.StartAsync(root: root, settings: settings, time: time));
    }

    /// <summary>What clients see of a manifest that was pushed with a tag: all of it or nothing of it, on both replicas.</summary>
    /// <returns>Whether it is there.</returns>
    public async Task<bool> AssertAgreesAsync(
        string repository, Digest digest, string tag, Digest? subject = null, string what = "")
    {
        var isThere = new List<(string What, bool IsThere)>();
        if (subject is { } named)
        {
            // Before it is listed: that would remove one without its manifest.
            var entry = RegistryLayout.Referrer(RepositoryName.Parse(repository), named, digest);
            isThere.Add(("referrer's entry", await A.Documents.ReadAsync(entry, default) is not null));
        }

        foreach (var http in new[] { A.Http, B.Http })
        {
            isThere.Add(("manifest", await ExistsAsync(http, repository, digest.ToString())));
            isThere.Add(("tag", await ExistsAsync(http, repository, tag)));
            isThere.Add(("tags/list", (await ListAsync(http, $"/v2/{repository}/tags/list", "tags")).Contains(tag)));
            isThere.Add(("_catalog", (await ListAsync(http, $"/v2/_catalog?n=1&last={repository[..^1]}", "repositories")).Contains(repository)));
            if (subject is { } of)
            {
                using var referrers = await http.RequestAsync("GET", $"/v2/{repository}/referrers/{of}");
                isThere.Add(("referrers", (await referrers.JsonAsync())["manifests"]!.AsArray()
                    .Any(one => (string)one!["digest"]! == digest.ToString())));
            }
        }

        isThere.Select(look => look.IsThere).Distinct().Count()
            .ShouldBe(1, $"{what}: {string.Join(", ", isThere)}");
        return isThere[0].IsThere;
    }

    public async ValueTask DisposeAsync()
    {
        await A.DisposeAsync();
        await B.DisposeAsync();
        Directory.Delete(_root, recursive: true);
    }

    private static async Task<bool> ExistsAsync(HttpClient http, string repository, string reference)
    {
        using var response = await http.GetManifestAsync(repository, reference);
        response.StatusCode.ShouldBeOneOf(HttpStatusCode.OK, HttpStatusCode.NotFound);
        return response.StatusCode == HttpStatusCode.OK;
    }

    private static async Task<string[]> ListAsync(HttpClient http, string path, string member)
    {
        using var list = await http.RequestAsync("GET", path);
        return list.StatusCode == HttpStatusCode.NotFound ? [] : (await list.JsonAsync()).Texts(member);
    }
}
