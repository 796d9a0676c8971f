using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using OciRegistry.Storage;

namespace OciRegistry.Repositories;

/// <summary>
/// Removes content that no repository links any more. It is condemned first, and removed by a later sweep, beside pushes
/// of the same digest: who is about to publish or link content holds it, and holding takes a condemnation back.
/// </summary>
/// <remarks>
/// The sweep marks the document "deleting" and reads the reverse links after that; whoever holds the content writes its
/// reverse link and reads the document after that. So either the sweep finds the link, or the holder finds "deleting" and
/// takes the removal over: the delete itself is conditional (<see cref="IBlobStore.RemoveAsync"/>) on what taking over
/// changes, so a sweep that was paused, or whose delete is still on its way, removes nothing. What is there once
/// the content is held stays, for as long as the reverse link does. Clocks only decide how long a sweep waits.
/// </remarks>
internal sealed partial class CondemnedContent(
    IDocumentStore documents,
    IBlobStore blobs,
    IOptions<OciRegistryOptions> options,
    RegistryMetrics metrics,
    StoreClock clock,
    TimeProvider time,
    ILogger<CondemnedContent> log)
{
    private const int PageSize = 1_000;

    private static readonly TimeSpan FirstDelay = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan LongestDelay = TimeSpan.FromSeconds(1);

    // How long a mark stays before another sweep resumes the removal: the sweep that has set it has died, or is very slow.
    private static readonly TimeSpan TakeOver = TimeSpan.FromMinutes(5);

    // Who has written its reverse link and not its link after that time has died in between.
    private static readonly TimeSpan LongestLinking = TimeSpan.FromHours(24);

    /// <summary>What a reverse link says that stands.</summary>
    public static ReadOnlyMemory<byte> Linked { get; } = "linked"u8.ToArray();

    /// <summary>What a reverse link says that is being taken away: who links at that time writes it again.</summary>
    public static ReadOnlyMemory<byte> Unlinking { get; } = "unlinking"u8.ToArray();

    /// <summary>Lets a later sweep remove the content, unless a repository links it. Repeatable.</summary>
    public async ValueTask CondemnAsync(Digest digest, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var condemned = new Condemnation(clock.Now);
        if (await FindLinksAsync(digest, isLongAgo: false) != Links.Live)
        {
            await WriteAsync(digest, condemned, WriteCondition.Absent);
        }
    }

    /// <summary>
    /// Keeps content for a repository from now on: called before it is published or linked. A removal that is under way
    /// is taken over; whether the content is still there afterwards must be confirmed.
    /// </summary>
    public async ValueTask HoldAsync(RepositoryName repository, Digest digest, CancellationToken cancellationToken)
    {
        var started = time.GetTimestamp();
        for (var delay = FirstDelay; ; delay = TimeSpan.FromTicks(Math.Min(delay.Ticks * 2, LongestDelay.Ticks)))
        {
            // Each time: while we waited, the sweep may have taken it for one that somebody has left.
            await documents.WriteAsync(
                RegistryLayout.Link(digest, repository), Linked, WriteCondition.None, Durability.Synced, cancellationToken);
            if (await ReadAsync(digest, cancellationToken) is not { } found)
            {
                return;
            }

            var (condemnation, version) = found;
            if (!condemnation.IsUnfenced || await clock.MeasureAsync(cancellationToken) - condemnation.Deleting >= TakeOver)
            {
                if (condemnation.Deleting is not null)
                {
                    await blobs.RenewAsync(digest, condemnation.Content, cancellationToken);
                }

                if (await DeleteAsync(digest, version))
                {
                    return;
                }

                continue; // the sweep was faster, or another holder
            }

            // The release before deletes without a condition: taking over has to wait until that is over.
            if (time.GetElapsedTime(started) >= options.Value.Uploads.CommitWait)
            {
                throw new StorageException("The content is just being removed; it can be pushed again when that is done.");
            }

            await Task.Delay(delay, time, cancellationToken);
        }
    }

    /// <summary>Takes a reverse link away whose link was never written; false when it stays, because somebody links.</summary>
    /// <remarks>
    /// The mark stands before the link is looked for: who links at the same time has then either written the link, which
    /// we find, or finds the mark afterwards, and holds again.
    /// </remarks>
    public async ValueTask<bool> LetGoAsync(RepositoryName repository, Digest digest)
    {
        var reverse = RegistryLayout.Link(digest, repository);
        var marked = await documents.WriteAsync(
            reverse, Unlinking, WriteCondition.None, Durability.Synced, CancellationToken.None);
        var unchanged = WriteCondition.Unchanged(marked!);
        if (await IsLinkedAsync(repository, digest))
        {
            await documents.WriteAsync(reverse, Linked, unchanged, Durability.Synced, CancellationToken.None);
            return false;
        }

        return await documents.DeleteAsync(reverse, unchanged, Durability.Synced, CancellationToken.None);
    }

    /// <summary>Removes what was condemned for <paramref name="grace"/> and is not linked; how much that was.</summary>
    public async ValueTask<int> SweepAsync(TimeSpan grace, CancellationToken cancellationToken)
    {
        var now = await clock.MeasureAsync(cancellationToken); // where the storage cannot tell, the sweep ends here
        var removed = 0;
        string? last = null;
        while (await documents.ListAsync(RegistryLayout.Condemned, last, PageSize, cancellationToken) is { Count: > 0 } page)
        {
            foreach (var name in page)
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (Digest.TryParse(name, out var digest) && await TryRemoveAsync(digest, grace, now))
                {
                    removed++;
                    metrics.ContentRemoved(1);
                }
            }

            last = page[^1];
        }

        return removed;
    }

    /// <summary>Content that cannot be removed must not keep all that comes after it.</summary>
    private async ValueTask<bool> TryRemoveAsync(Digest digest, TimeSpan grace, DateTimeOffset now)
    {
        try
        {
            return await RemoveAsync(digest, grace, now);
        }
        catch (StorageException e)
        {
            LogKept(log, e, digest);
            return false;
        }
    }

    /// <summary>Removes the content of one digest, if it is due and no repository has it.</summary>
    /// <remarks>
    ///   (1) mark it "deleting", by compare-and-swap    refused: another sweep has it, or a holder has taken it back
    ///   (2) read the reverse links                     after the mark; one that is live: the content stays
    ///   (3) delete the content                         only if the mark is still ours, or its content unchanged: checked by
    ///                                                  the delete itself, so a pause before it, of any length, is harmless
    ///   (4) delete the document
    /// A mark is taken back without more only by the process that has set it and has not begun (3). Whoever resumes the
    /// removal of another sets its own mark first, and takes that back as a holder does: the other's delete may be on its way.
    /// </remarks>
    private async ValueTask<bool> RemoveAsync(Digest digest, TimeSpan grace, DateTimeOffset now)
    {
        if (await ReadAsync(digest, CancellationToken.None) is not { } found || !IsDue(found.Condemnation, grace, now))
        {
            return false;
        }

        // (1) What a removal that was interrupted has left is named only by its mark.
        var isResumed = found.Condemnation.Deleting is not null;
        var condemned = new Condemnation(found.Condemnation.Since);
        var content = await blobs.VersionAsync(digest, CancellationToken.None) ?? found.Condemnation.Content;
        var deleting = condemned with { Deleting = clock.Now, Id = Guid.NewGuid().ToString("n"), Content = content };
        if (await WriteAsync(digest, deleting, WriteCondition.Unchanged(found.Version)) is not { } version)
        {
            return false;
        }

        // (2)
        Links links;
        try
        {
            links = await FindLinksAsync(digest, isLongAgo: now - condemned.Since > LongestLinking);
        }
        catch when (!isResumed)
        {
            await WriteAsync(digest, condemned, WriteCondition.Unchanged(version)); // for the next sweep
            throw;
        }

        if (links != Links.None)
        {
            if (isResumed)
            {
                await blobs.RenewAsync(digest, content, CancellationToken.None);
            }

            if (links == Links.Live)
            {
                await DeleteAsync(digest, version);
            }
            else
            {
                await WriteAsync(digest, condemned, WriteCondition.Unchanged(version)); // for the next sweep
            }

            return false;
        }

        // (3)
        var mark = new RemovalMark(RegistryLayout.Condemnation(digest), version, content);
        var removal = await blobs.RemoveAsync(digest, mark, CancellationToken.None);
        if (removal == ContentRemoval.Refused)
        {
            return false; // the mark belongs to whoever has taken over, or is resumed once that one has died
        }

        // (4)
        await DeleteAsync(digest, version);
        return removal == ContentRemoval.Removed;
    }

    // Without grace no clock decides: what was condemned a moment ago is due.
    private static bool IsDue(Condemnation condemnation, TimeSpan grace, DateTimeOffset now) =>
        condemnation.Deleting is { } deleting
            ? now - deleting >= TakeOver
            : grace == TimeSpan.Zero || now - condemnation.Since >= grace;

    /// <summary>Whether anybody links the content; takes reverse links away that were left long ago.</summary>
    private async ValueTask<Links> FindLinksAsync(Digest digest, bool isLongAgo)
    {
        var found = Links.None;
        string? last = null;
        while (await documents.ListFreshAsync(RegistryLayout.Links(digest), last, PageSize, CancellationToken.None) is { Count: > 0 } page)
        {
            foreach (var name in page)
            {
                if (!RepositoryName.TryParse(name, out var repository) || await IsLinkedAsync(repository, digest))
                {
                    return Links.Live;
                }

                if (!isLongAgo || !await LetGoAsync(repository, digest))
                {
                    found = Links.Left;
                }
            }

            last = page[^1];
        }

        return found;
    }

    private async ValueTask<bool> IsLinkedAsync(RepositoryName repository, Digest digest) =>
        await documents.ReadAsync(RegistryLayout.RepositoryBlob(repository, digest), CancellationToken.None) is not null;

    private async ValueTask<(Condemnation Condemnation, string Version)?> ReadAsync(
        Digest digest, CancellationToken cancellationToken)
    {
        if (await documents.ReadAsync(RegistryLayout.Condemnation(digest), cancellationToken) is not { } document)
        {
            return null;
        }

        try
        {
            var condemnation = JsonSerializer.Deserialize(document.Content.Span, CondemnationJson.Default.Condemnation)
                ?? throw new JsonException();
            return (condemnation, document.Version);
        }
        catch (JsonException e)
        {
            // Of another release: what it says about the content is not to be guessed.
            throw new StorageException($"The document {RegistryLayout.Condemnation(digest)} cannot be read.", e);
        }
    }

    private ValueTask<string?> WriteAsync(Digest digest, Condemnation condemnation, WriteCondition condition) =>
        documents.WriteAsync(
            RegistryLayout.Condemnation(digest),
            JsonSerializer.SerializeToUtf8Bytes(condemnation, CondemnationJson.Default.Condemnation),
            condition,
            Durability.Synced,
            CancellationToken.None);

    private ValueTask<bool> DeleteAsync(Digest digest, string version) =>
        documents.DeleteAsync(
            RegistryLayout.Condemnation(digest), WriteCondition.Unchanged(version), Durability.Synced, CancellationToken.None);

    [LoggerMessage(LogLevel.Error, "The unused content {Digest} cannot be removed; the next sweep tries again.")]
    private static partial void LogKept(ILogger logger, Exception exception, Digest digest);

    private enum Links
    {
        None,

        /// <summary>Somebody is about to link it, or has died doing so.</summary>
        Left,
        Live,
    }
}

/// <param name="Since">When no repository linked the content any more.</param>
/// <param name="Deleting">Since when a sweep removes it; null while none does.</param>
/// <param name="Id">
/// Of the removal: one that has it deletes only while its mark stands. Null in the marks of the release before, whose
/// delete has no condition.
/// </param>
/// <param name="Content">What the store had when the removal began (<see cref="IBlobStore.VersionAsync"/>).</param>
internal sealed record Condemnation(
    DateTimeOffset Since, DateTimeOffset? Deleting = null, string? Id = null, string? Content = null)
{
    [JsonIgnore]
    public bool IsUnfenced => Deleting is not null && Id is null;
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(Condemnation))]
internal sealed partial class CondemnationJson : JsonSerializerContext;
