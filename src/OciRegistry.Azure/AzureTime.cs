using Azure;
using OciRegistry.Storage;

namespace OciRegistry.Azure;

/// <summary>The storage account's clock: the Date of an answer, in whole seconds.</summary>
internal sealed class AzureTime(AzureContainer container) : IStoreTime
{
    public ValueTask<DateTimeOffset> NowAsync(CancellationToken cancellationToken) =>
        container.CallAsync(
            async (_, token) => await AskAsync(token) ?? throw new IOException("the answer has no date"), cancellationToken);

    private async Task<DateTimeOffset?> AskAsync(CancellationToken cancellationToken)
    {
        try
        {
            var found = await container.Blob(AzureProbe.Name).GetPropertiesAsync(cancellationToken: cancellationToken);
            return found.GetRawResponse().Headers.Date;
        }
        catch (RequestFailedException e) when (AzureProblem.IsMissing(e))
        {
            return e.GetRawResponse()?.Headers.Date;
        }
    }
}
