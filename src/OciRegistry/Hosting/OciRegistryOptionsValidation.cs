using Microsoft.Extensions.Options;

namespace OciRegistry.Hosting;

/// <summary>Stops a start with settings that cannot be, with all that is wrong at once.</summary>
internal sealed class OciRegistryOptionsValidation : IValidateOptions<OciRegistryOptions>
{
    public ValidateOptionsResult Validate(string? name, OciRegistryOptions options)
    {
        var problems = options.Problems().ToArray();
        return problems.Length == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(problems);
    }
}
