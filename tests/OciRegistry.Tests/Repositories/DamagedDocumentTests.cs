using System.Net;
using OciRegistry.Storage;
using OciRegistry.Tests.Faults;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Repositories;

/// <summary>A document that is there and cannot be read is never taken for one that is missing without a word.</summary>
public sealed class DamagedDocumentTests : IAsyncLifetime
{
    private readonly string _repository = RegistryClient.NewRepository();
    private readonly byte[] _manifest = RegistryClient.EmptyIndex();
    private FaultyRegistry _registry = null!;

    private HttpClient Http => _registry.Http;

    private RepositoryName Repository => RepositoryName.Parse(_repository);

    private DocumentKey TagKey => RegistryLayout.Tag(Repository, Tag.TryParse("v1", out var tag) ? tag : default);

    public async ValueTask InitializeAsync()
    {
        _registry = await FaultyRegistry.StartAsync();
        await PutAsync("v1");
    }

    public ValueTask DisposeAsync() => _registry.DisposeAsync();

    [Fact]
    public async Task Tag_that_cannot_be_read_is_503_and_a_push_repairs_it()
    {
        await DamageAsync(TagKey);
        foreach (var method in new[] { "GET", "HEAD" })
        {
            using var pulled = await Http.RequestAsync(method, $"/v2/{_repository}/manifests/v1");
            pulled.StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
            pulled.Header("Retry-After").ShouldNotBeNull();
        }

        using (var named = await Http.GetManifestAsync(_repository, "v1"))
        {
            await named.ShouldBeErrorAsync(HttpStatusCode.ServiceUnavailable, "UNAVAILABLE");
            (await named.Content.ReadAsStringAsync()).ShouldContain("'v1' is damaged");
        }

        (await Http.GetStringAsync(new Uri("/metrics", UriKind.Relative)))
            .ShouldContain("oci_registry_integrity_events_total{kind=\"tag\"}");
        await PutAsync("v1");
        await AssertServedAsync("v1");
    }

    [Fact]
    public async Task Damaged_manifest_is_deleted_with_its_referrer_entry()
    {
        var subject = Digest.Of("subject"u8);
        var manifest = RegistryClient.ImageIndex([], subject);
        using (var put = await Http.PutManifestAsync(_repository, "signature", manifest, MediaTypes.ImageIndex))
        {
            await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
        }

        var key = RegistryLayout.Manifest(Repository, Digest.Of(manifest));
        byte[] damaged = [.. (await _registry.Documents.ReadAsync(key, default)).ShouldNotBeNull().Content.Span, (byte)' '];
        await _registry.Documents.WriteAsync(key, damaged, WriteCondition.None, Durability.Synced, default);

        (await Http.DeleteAsync($"/v2/{_repository}/manifests/{Digest.Of(manifest)}")).StatusCode.ShouldBe(HttpStatusCode.Accepted);

        using var list = await Http.RequestAsync("GET", $"/v2/{_repository}/referrers/{subject}");
        (await list.JsonAsync())["manifests"]!.AsArray().ShouldBeEmpty();
    }

    [Theory]
    [InlineData("If-Match", "*")]
    [InlineData("If-None-Match", "*")]
    public async Task Push_on_condition_over_a_tag_that_cannot_be_read_is_503_and_ends(string header, string value)
    {
        await DamageAsync(TagKey);

        using var put = await Until.DoneAsync(Http.PutManifestAsync(
            _repository, "v1", _manifest, MediaTypes.ImageIndex, headers => headers.TryAddWithoutValidation(header, value)));

        await put.ShouldBeErrorAsync(HttpStatusCode.ServiceUnavailable, "UNAVAILABLE");
    }

    [Fact]
    public async Task Push_on_condition_ends_when_its_tag_is_damaged_while_it_is_set()
    {
        // The tag is read twice before it is written: for the precondition, and to write against its version.
        var reading = _registry.Plan.Hold(StoreCall.DocumentRead, TagKey.ToString(), nth: 2);
        var push = Http.PutManifestAsync(
            _repository,
            "v1",
            RegistryClient.EmptyIndex(),
            MediaTypes.ImageIndex,
            headers => headers.TryAddWithoutValidation("If-Match", $"\"{Digest.Of(_manifest)}\""));
        await reading.Reached;
        await DamageAsync(TagKey);

        reading.Release();

        using var put = await Until.DoneAsync(push);
        await put.ShouldBeErrorAsync(HttpStatusCode.ServiceUnavailable, "UNAVAILABLE");
    }

    [Fact]
    public async Task Tag_that_cannot_be_read_is_deleted_on_request()
    {
        await DamageAsync(TagKey);
        using (var conditional = await Http.RequestAsync(
            "DELETE", $"/v2/{_repository}/manifests/v1", ("If-Match", $"\"{Digest.Of(_manifest)}\"")))
        {
            await conditional.ShouldBeErrorAsync(HttpStatusCode.ServiceUnavailable, "UNAVAILABLE");
        }

        (await Http.DeleteAsync($"/v2/{_repository}/manifests/v1")).StatusCode.ShouldBe(HttpStatusCode.Accepted);

        using var gone = await Http.GetManifestAsync(_repository, "v1");
        await gone.ShouldBeErrorAsync(HttpStatusCode.NotFound, "MANIFEST_UNKNOWN");
    }

    [Fact]
    public async Task Delete_of_a_manifest_leaves_a_tag_that_cannot_be_read()
    {
        await PutAsync("v2");
        await Http.PushBlobAsync(_repository, [1]); // keeps the repository in the catalog
        await DamageAsync(TagKey);

        (await Http.DeleteAsync($"/v2/{_repository}/manifests/{Digest.Of(_manifest)}"))
            .StatusCode.ShouldBe(HttpStatusCode.Accepted);

        using var tags = await Http.RequestAsync("GET", $"/v2/{_repository}/tags/list");
        (await tags.JsonAsync()).Texts("tags").ShouldBe(["v1"]);
        using var pulled = await Http.GetManifestAsync(_repository, "v1");
        await pulled.ShouldBeErrorAsync(HttpStatusCode.ServiceUnavailable, "UNAVAILABLE");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    public async Task Manifest_with_a_flipped_byte_is_unknown_and_counted_until_a_push_repairs_it(int at)
    {
        await AssertServedAsync("v1"); // it was verified before
        var key = RegistryLayout.Manifest(Repository, Digest.Of(_manifest));
        var document = (await _registry.Documents.ReadAsync(key, default)).ShouldNotBeNull().Content.ToArray();
        document[at < 0 ? document.Length + at : at + document.AsSpan().IndexOf((byte)'\n') + 1] ^= 1;
        await _registry.Documents.WriteAsync(key, document, WriteCondition.None, Durability.Synced, default);

        foreach (var reference in new[] { "v1", Digest.Of(_manifest).ToString() })
        {
            using var pulled = await Http.GetManifestAsync(_repository, reference);
            await pulled.ShouldBeErrorAsync(HttpStatusCode.NotFound, "MANIFEST_UNKNOWN");
        }

        (await Http.GetStringAsync(new Uri("/metrics", UriKind.Relative)))
            .ShouldContain("oci_registry_integrity_events_total{kind=\"manifest\"} 2");
        _registry.Log.Lines.ShouldContain(line => line.Contains(Digest.Of(_manifest).ToString(), StringComparison.Ordinal));
        await PutAsync("v2");
        await AssertServedAsync("v1");
        await AssertServedAsync(Digest.Of(_manifest).ToString());
    }

    [Fact]
    public async Task Link_that_cannot_be_read_is_unknown_and_counted_until_a_push_repairs_it()
    {
        var blob = RegistryClient.RandomBytes(100);
        var digest = await Http.PushBlobAsync(_repository, blob);
        await DamageAsync(RegistryLayout.RepositoryBlob(Repository, digest));
        using (var unknown = await Http.GetBlobAsync(_repository, digest))
        {
            await unknown.ShouldBeErrorAsync(HttpStatusCode.NotFound, "BLOB_UNKNOWN");
        }

        (await Http.GetStringAsync(new Uri("/metrics", UriKind.Relative)))
            .ShouldContain("oci_registry_integrity_events_total{kind=\"blob_link\"} 1");
        await Http.PushBlobAsync(_repository, blob);
        using var pulled = await Http.GetBlobAsync(_repository, digest);
        await pulled.ShouldBeContentAsync(digest, blob);
    }

    [Theory]
    [InlineData("")]
    [InlineData("?artifactType=a/b")]
    public async Task Referrer_entry_that_cannot_be_read_is_503_until_a_push_repairs_it(string query)
    {
        var subject = Digest.Of(_manifest);
        var referrer = RegistryClient.ImageIndex([], subject, "a/b");
        (await Http.PutManifestAsync(_repository, "signature", referrer, MediaTypes.ImageIndex))
            .StatusCode.ShouldBe(HttpStatusCode.Created);
        await DamageAsync(RegistryLayout.Referrer(Repository, subject, Digest.Of(referrer)));
        using (var list = await Http.RequestAsync("GET", $"/v2/{_repository}/referrers/{subject}{query}"))
        {
            await list.ShouldBeErrorAsync(HttpStatusCode.ServiceUnavailable, "UNAVAILABLE");
        }

        (await Http.PutManifestAsync(_repository, "signature", referrer, MediaTypes.ImageIndex))
            .StatusCode.ShouldBe(HttpStatusCode.Created);
        using var repaired = await Http.RequestAsync("GET", $"/v2/{_repository}/referrers/{subject}{query}");
        (await repaired.JsonAsync())["manifests"]!.AsArray().Count.ShouldBe(1);
    }

    private async Task DamageAsync(DocumentKey key) =>
        (await _registry.Documents.WriteAsync(key, "sha256:\0"u8.ToArray(), WriteCondition.None, Durability.Synced, default))
            .ShouldNotBeNull();

    private async Task PutAsync(string tag)
    {
        using var put = await Http.PutManifestAsync(_repository, tag, _manifest, MediaTypes.ImageIndex);
        await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
    }

    private async Task AssertServedAsync(string reference)
    {
        using var pulled = await Http.GetManifestAsync(_repository, reference);
        await pulled.ShouldBeContentAsync(Digest.Of(_manifest), _manifest);
    }
}
