using System.Net;
using OciRegistry.Repositories;
using OciRegistry.Storage;
using OciRegistry.Tests.Faults;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Repositories;

/// <summary>A delete and a failed mount of a blob take away what they have read or written, and nothing of another request.</summary>
public sealed class BlobLinkTests : IAsyncLifetime
{
    private readonly ManualTimeProvider _time = new();
    private readonly string _source = RegistryClient.NewRepository();
    private readonly string _target = RegistryClient.NewRepository();
    private readonly byte[] _content = RegistryClient.RandomBytes(1_000);
    private ReplicaPair _replicas = null!;

    private FaultyRegistry A => _replicas.A;

    private FaultyRegistry B => _replicas.B;

    private Digest Digest => Digest.Of(_content);

    private DocumentKey Link => RegistryLayout.RepositoryBlob(RepositoryName.Parse(_target), Digest);

    private DocumentKey ReverseLink => RegistryLayout.Link(Digest, RepositoryName.Parse(_target));

    public async ValueTask InitializeAsync()
    {
        _replicas = await ReplicaPair.StartAsync(time: _time);
        await A.Http.PushBlobAsync(_source, _content);
    }

    public ValueTask DisposeAsync() => _replicas.DisposeAsync();

    [Fact]
    public async Task Delete_leaves_the_reverse_link_of_a_push_that_links_meanwhile()
    {
        await A.Http.PushBlobAsync(_target, _content);
        var deleting = B.Plan.Hold(StoreCall.DocumentDelete, ReverseLink.ToString());
        var delete = DeleteAsync(B, _target);
        await deleting.Reached;
        await A.Http.PushBlobAsync(_target, _content);

        deleting.Release();

        (await Until.DoneAsync(delete)).ShouldBe(HttpStatusCode.Accepted);
        await AssertIsKeptAsync();
    }

    [Fact]
    public async Task Delete_that_arrives_late_does_not_take_the_link_of_a_push_since()
    {
        await A.Http.PushBlobAsync(_target, _content);
        var deleting = B.Plan.Hold(StoreCall.DocumentDelete, Link.ToString());
        var delete = DeleteAsync(B, _target);
        await deleting.Reached;
        await A.Http.PushBlobAsync(_target, _content);
        var down = B.Plan.FailEverything(); // its replica has no store any more, but this call still lands

        deleting.Release();

        (await Until.DoneAsync(delete)).ShouldBe(HttpStatusCode.ServiceUnavailable);
        down.Release();
        await AssertIsKeptAsync();
    }

    [Fact]
    public async Task Delete_that_a_push_overtook_deletes_the_blob_all_the_same()
    {
        await A.Http.PushBlobAsync(_target, _content);
        var deleting = B.Plan.Hold(StoreCall.DocumentDelete, Link.ToString());
        var delete = DeleteAsync(B, _target);
        await deleting.Reached;
        await A.Http.PushBlobAsync(_target, _content);

        deleting.Release();

        (await Until.DoneAsync(delete)).ShouldBe(HttpStatusCode.Accepted);
        (await A.Documents.ReadAsync(Link, default)).ShouldBeNull();
        (await A.Documents.ReadAsync(ReverseLink, default)).ShouldBeNull();
    }

    [Fact]
    public async Task Delete_of_a_blob_that_is_not_there_writes_nothing()
    {
        var before = B.Plan.Journal.Count;

        (await DeleteAsync(B, _target)).ShouldBe(HttpStatusCode.NotFound);

        B.Plan.Journal.Skip(before).ShouldNotContain(call => call.Call == StoreCall.DocumentWrite);
    }

    [Fact]
    public async Task Mount_that_lost_its_content_takes_back_its_own_link_and_not_that_of_a_push()
    {
        // The mount has written its link, and confirms its reverse link; a delete takes all that away, the sweep the content.
        var confirming = A.Plan.Hold(StoreCall.DocumentRead, ReverseLink.ToString());
        var mount = A.Http.StartUploadAsync(_target, $"?mount={Digest}&from={_source}");
        await confirming.Reached;
        await DeleteAsync(B, _source);
        await DeleteAsync(B, _target);
        await B.Condemned.CondemnAsync(Digest, default);
        (await B.Condemned.SweepAsync(TimeSpan.Zero, default)).ShouldBe(1);
        var looked = A.Plan.Hold(StoreCall.BlobStat, Digest.ToString(), afterEffect: true);
        confirming.Release();
        await looked.Reached; // it holds the content again, and finds none
        await B.Http.PushBlobAsync(_target, _content);

        looked.Release();

        (await Until.DoneAsync(mount)).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        await AssertIsKeptAsync();
    }

    [Fact]
    public async Task Repository_whose_only_blob_is_deleted_while_it_is_linked_is_not_in_the_catalog()
    {
        var entry = RegistryLayout.CatalogEntry(RepositoryName.Parse(_target));
        var adding = A.Plan.Hold(StoreCall.DocumentRead, entry.ToString());
        var mount = A.Http.StartUploadAsync(_target, $"?mount={Digest}&from={_source}");
        await adding.Reached; // it is linked
        (await DeleteAsync(B, _target)).ShouldBe(HttpStatusCode.Accepted);
        adding.Release();

        (await Until.DoneAsync(mount)).StatusCode.ShouldBe(HttpStatusCode.Created);
        (await A.Documents.ReadAsync(entry, default)).ShouldBeNull();
    }

    [Fact]
    public async Task Manifest_holds_a_layer_whose_mount_died_before_it_looked_at_its_reverse_link()
    {
        await A.Http.PushBlobAsync(_target, "{}"u8.ToArray());
        var confirming = A.Plan.Hold(StoreCall.DocumentRead, ReverseLink.ToString());
        var mount = A.Http.StartUploadAsync(_target, $"?mount={Digest}&from={_source}");
        await confirming.Reached;
        var reverse = (await B.Documents.ReadAsync(ReverseLink, default)).ShouldNotBeNull();
        await B.Documents.DeleteAsync(ReverseLink, WriteCondition.Unchanged(reverse.Version), Durability.Synced, default);
        var dead = A.Plan.FailEverything();
        confirming.Release();
        (await Until.DoneAsync(mount)).StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        dead.Release();

        using (var put = await B.Http.PutManifestAsync(_target, "v1", RegistryClient.ImageManifest("{}"u8.ToArray(), [_content])))
        {
            await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
        }

        await DeleteAsync(B, _source);
        await AssertIsKeptAsync();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)] // another manifest lets it go at the same time, and is done first
    public async Task Manifest_holds_a_layer_that_a_push_that_died_has_linked_while_the_manifest_let_it_go(bool isLetGoTwice)
    {
        await A.Http.PushBlobAsync(_target, "{}"u8.ToArray());
        await B.Http.PushBlobAsync(_target, _content);
        var link = (await B.Documents.ReadAsync(Link, default)).ShouldNotBeNull();
        var reverse = (await B.Documents.ReadAsync(ReverseLink, default)).ShouldNotBeNull();
        await B.Documents.DeleteAsync(ReverseLink, WriteCondition.Unchanged(reverse.Version), Durability.Synced, default);
        var linking = A.Plan.Hold(StoreCall.DocumentWrite, Link.ToString());
        var put = A.Http.PutManifestAsync(_target, "v1", RegistryClient.ImageManifest("{}"u8.ToArray(), [_content]));
        await linking.Reached; // it holds the layer again
        (await DeleteAsync(B, _target)).ShouldBe(HttpStatusCode.Accepted);
        var lettingGo = A.Plan.Hold(StoreCall.DocumentDelete, ReverseLink.ToString());
        linking.Release();
        await lettingGo.Reached; // there is no link
        await B.Documents.WriteAsync(Link, link.Content, WriteCondition.Absent, Durability.Synced, default); // and dies
        if (isLetGoTwice)
        {
            var mark = (await B.Documents.ReadAsync(ReverseLink, default)).ShouldNotBeNull();
            await B.Documents.DeleteAsync(ReverseLink, WriteCondition.Unchanged(mark.Version), Durability.Synced, default);
        }

        lettingGo.Release();

        (await Until.DoneAsync(put)).StatusCode.ShouldBe(HttpStatusCode.Created);
        await DeleteAsync(B, _source);
        await AssertIsKeptAsync();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Blob_that_was_deleted_stays_deleted_beside_a_manifest_that_refers_to_it(bool isRefused)
    {
        await A.Http.PushBlobAsync(_target, "{}"u8.ToArray());
        await B.Http.PushBlobAsync(_target, _content);
        byte[][] layers = isRefused ? [_content, RegistryClient.RandomBytes(5)] : [_content];
        var looking = A.Plan.Hold(StoreCall.DocumentRead, ReverseLink.ToString());
        var put = A.Http.PutManifestAsync(_target, "v1", RegistryClient.ImageManifest("{}"u8.ToArray(), layers));
        await looking.Reached;
        (await DeleteAsync(B, _target)).ShouldBe(HttpStatusCode.Accepted);

        looking.Release();

        await Until.DoneAsync(put);
        (await A.Http.HeadBlobAsync(_target, Digest)).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await A.Documents.ReadAsync(ReverseLink, default)).ShouldBeNull();
    }

    [Fact]
    public async Task Manifest_with_a_layer_whose_content_is_gone_is_refused_until_the_layer_is_pushed_again()
    {
        var layer = RegistryClient.RandomBytes(100);
        var digest = await A.Http.PushBlobAsync(_target, layer);
        await A.Http.PushBlobAsync(_target, "{}"u8.ToArray());
        var manifest = RegistryClient.ImageManifest("{}"u8.ToArray(), [layer]);
        File.Delete(A.Root.Blob(digest));
        using (var refused = await A.Http.PutManifestAsync(_target, "v1", manifest))
        {
            await refused.ShouldBeErrorAsync(HttpStatusCode.NotFound, "MANIFEST_BLOB_UNKNOWN");
        }

        await A.Http.PushBlobAsync(_target, layer);
        using var put = await A.Http.PutManifestAsync(_target, "v1", manifest);
        await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Index_with_a_child_that_is_damaged_or_a_blob_that_is_gone_is_refused(bool isManifest)
    {
        var child = isManifest ? RegistryClient.EmptyIndex() : RegistryClient.RandomBytes(100);
        if (isManifest)
        {
            (await A.Http.PutManifestAsync(_target, "child", child, MediaTypes.ImageIndex))
                .StatusCode.ShouldBe(HttpStatusCode.Created);
            await A.Documents.WriteAsync(
                RegistryLayout.Manifest(RepositoryName.Parse(_target), Digest.Of(child)),
                "a/b\n{"u8.ToArray(),
                WriteCondition.None,
                Durability.Synced,
                default);
        }
        else
        {
            await A.Http.PushBlobAsync(_target, child);
            File.Delete(A.Root.Blob(Digest.Of(child)));
        }

        var index = RegistryClient.ImageIndex(
            [RegistryClient.Describe(child, isManifest ? MediaTypes.ImageIndex : MediaTypes.OctetStream)]);

        using var put = await A.Http.PutManifestAsync(_target, "v1", index, MediaTypes.ImageIndex);

        await put.ShouldBeErrorAsync(HttpStatusCode.NotFound, "MANIFEST_BLOB_UNKNOWN");
    }

    /// <summary>It is served, and the sweep does not remove it when no other repository has it.</summary>
    private async Task AssertIsKeptAsync()
    {
        await DeleteAsync(B, _source);
        await B.Condemned.CondemnAsync(Digest, default);
        _time.Advance(TimeSpan.FromHours(30));
        (await B.Condemned.SweepAsync(TimeSpan.Zero, default)).ShouldBe(0);
        foreach (var registry in new[] { A, B })
        {
            using var pulled = await registry.Http.GetBlobAsync(_target, Digest);
            await pulled.ShouldBeContentAsync(Digest, _content);
        }

        var reverse = (await A.Documents.ReadAsync(ReverseLink, default)).ShouldNotBeNull();
        reverse.Content.ToArray().ShouldBe(CondemnedContent.Linked.ToArray());
    }

    private async Task<HttpStatusCode> DeleteAsync(FaultyRegistry registry, string repository)
    {
        using var deleted = await registry.Http.DeleteAsync($"/v2/{repository}/blobs/{Digest}");
        return deleted.StatusCode;
    }
}
