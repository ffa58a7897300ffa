"""Renders the CloudFormation template of a pipeline from its declaration. It has what is declared, and nothing else.

All names in it are derived from the declaration. Names of S3, SageMaker and stacks allow no ``_``, so they have ``-``
instead.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from troposphere import Output, Ref, Tags, Template
from troposphere.awslambda import Function
from troposphere.iam import ManagedPolicy
from troposphere.ssm import Parameter

from sluice.aws.template import Export, Fragment, Statement
from sluice.compute.artefacts import NONE, Artefacts
from sluice.declaration.pipeline import Pipeline
from sluice.errors import DeclarationError
from sluice.provisioning.completions import completions_template
from sluice.provisioning.lake import lake_template
from sluice.provisioning.machine import machine_template
from sluice.provisioning.models import models_template
from sluice.provisioning.policies import packed, policy_document
from sluice.provisioning.steps import steps_template
from sluice.sources.connecting import source_template

# CloudFormation user guide, "Understand CloudFormation quotas": the size of a template that is part of the request.
_MOST_BYTES = 51_200


def render(pipeline: Pipeline, artefacts: Artefacts = NONE) -> Template:
    """Render the template of a pipeline.

    Args:
        pipeline: The declaration.
        artefacts: What runs on Lambda and Fargate, where AWS finds it; only a pipeline that declares such needs it.

    Raises:
        DeclarationError: two resources would have one name, or an artefact is needed.
    """
    fragments = [
        lake_template(pipeline),
        completions_template(pipeline),
        models_template(pipeline),
        _key_template(pipeline),
        *steps_template(pipeline, artefacts),
        machine_template(pipeline, artefacts),
        *(source_template(pipeline, source) for source in pipeline.sources),
    ]
    _check_names(pipeline, fragments)
    template = Template(
        Description=f"What the Sluice pipeline {pipeline.name} needs; `sluice provision {pipeline.name}` made it."
    )
    template.set_version()
    for fragment in fragments:
        for resource in fragment.resources:
            template.add_resource(resource)
        for export in fragment.exports:
            _export(template, pipeline, export)
    _add_worker_policies(template, pipeline, fragments)
    _tag(template, pipeline)
    return template


def template_body(pipeline: Pipeline, artefacts: Artefacts = NONE) -> str:
    """Render the template as JSON, for a request to CloudFormation.

    Args:
        pipeline: The declaration.
        artefacts: As for :func:`render`.

    Raises:
        DeclarationError: as for :func:`render`, or the template is too long.
    """
    body = json.dumps(render(pipeline, artefacts).to_dict(), separators=(",", ":"))
    if len(body.encode()) > _MOST_BYTES:
        raise DeclarationError(
            f"pipeline {pipeline.name}: the template has {len(body.encode()):,} bytes, and CloudFormation accepts "
            f"{_MOST_BYTES:,}: declare fewer sources, or split the pipeline"
        )
    return body


def _check_names(pipeline: Pipeline, fragments: Sequence[Fragment]) -> None:
    resources = [resource for fragment in fragments for resource in fragment.resources]
    functions = [resource.FunctionName for resource in resources if isinstance(resource, Function)]
    for name, count in Counter([*(resource.title for resource in resources), *functions]).items():
        if count > 1:
            raise DeclarationError(
                f"pipeline {pipeline.name}: {count} resources of its template would be called {name}, because names "
                f"have no '_' there, or because Sluice has that name; rename a source or a step"
            )


def _export(template: Template, pipeline: Pipeline, export: Export) -> None:
    """Add the output, and the parameter with which :mod:`sluice.aws.resources` finds the resource."""
    path = f"/sluice/{pipeline.name}/{export.parameter}"
    template.add_resource(Parameter(f"{export.name}Parameter", Name=path, Type="String", Value=export.value))
    template.add_output(Output(export.name, Description=export.description, Value=export.value))


def _key_template(pipeline: Pipeline) -> Fragment:
    """Return the workers' right to use the key, if there is one."""
    if pipeline.kms_key is None:
        return Fragment()
    return Fragment(statements=(Statement("UseTheKey", ("kms:Decrypt", "kms:GenerateDataKey"), (pipeline.kms_key,)),))


def _add_worker_policies(template: Template, pipeline: Pipeline, fragments: Sequence[Fragment]) -> None:
    """Add ``WorkerPolicy``, and ``WorkerPolicy2`` and so on where one policy can't hold the rights."""
    for number, statements in enumerate(packed(fragment.statements for fragment in fragments), start=1):
        name = "WorkerPolicy" if number == 1 else f"WorkerPolicy{number}"
        policy = ManagedPolicy(
            name,
            # Don't change this text: CloudFormation would replace the policy, and workers have the old one attached.
            Description=f"What an Airflow worker may do for the pipeline {pipeline.name}. "
            f"Attach it to the workers' role.",
            PolicyDocument=policy_document(statements),
        )
        template.add_resource(policy)
        description = "ARN of the policy to attach to the role of the Airflow workers."
        template.add_output(Output(name, Description=description, Value=Ref(policy)))


def _tag(template: Template, pipeline: Pipeline) -> None:
    if not pipeline.tags:
        return
    for resource in template.resources.values():
        if "Tags" in resource.props:
            kind = resource.props["Tags"][0]
            declared = dict(pipeline.tags)
            resource.Tags = declared if kind is dict else resource.properties.get("Tags", Tags()) + Tags(declared)
